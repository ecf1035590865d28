import { Match, Template } from 'aws-cdk-lib/assertions';
import { Network } from '../lib/network';
import { INTERFACE_ENDPOINTS, type NetworkSettings } from '../lib/settings/network-types';
import { resolved, testStack, textOf } from './helpers/app';

function network(settings: Omit<NetworkSettings, 'httpEgress'> = {}): Template {
  const stack = testStack();
  new Network(stack, 'Network', resolved({ network: { httpEgress: 'anywhere', ...settings } }).network);
  return Template.fromStack(stack);
}

const standard = network();

test('two zones with a public, a private and an isolated subnet each, without a lookup', () => {
  standard.resourceCountIs('AWS::EC2::Subnet', 6);
  standard.hasResourceProperties('AWS::EC2::VPC', { CidrBlock: '10.64.0.0/16' });
  standard.hasResourceProperties('AWS::EC2::Subnet', { AvailabilityZone: { 'Fn::Select': [1, { 'Fn::GetAZs': '' }] } });
});

test('no machine gets a public address by itself', () => {
  standard.allResourcesProperties('AWS::EC2::Subnet', { MapPublicIpOnLaunch: false });
});

test('the isolated subnets have no way out', () => {
  const tables = Object.entries(standard.findResources('AWS::EC2::Route')).map(([name]) => name);
  expect(tables).toHaveLength(4);
  expect(tables.filter((name) => name.includes('DatabaseSubnet'))).toEqual([]);
});

test('NAT has an address of its own that stays, and tells it', () => {
  standard.hasResourceProperties('AWS::EC2::NatGateway', {
    AllocationId: { 'Fn::GetAtt': [Match.stringLikeRegexp('NatAddress1'), 'AllocationId'] },
  });
  standard.hasOutput('*', { Value: { 'Fn::GetAtt': [Match.stringLikeRegexp('NatAddress1'), 'PublicIp'] } });
});

test('S3 is reached by a gateway endpoint', () => {
  standard.hasResourceProperties('AWS::EC2::VPCEndpoint', {
    VpcEndpointType: 'Gateway',
    RouteTableIds: Match.arrayWith([{ Ref: Match.stringLikeRegexp('HostSubnet1') }]),
  });
});

test('flow logs of all traffic are kept for the days of the settings', () => {
  standard.hasResourceProperties('AWS::EC2::FlowLog', { TrafficType: 'ALL', LogDestinationType: 'cloud-watch-logs' });
  standard.hasResourceProperties('AWS::Logs::LogGroup', { RetentionInDays: 30 });
});

test('the default security group lets nothing through', () => {
  standard.resourceCountIs('Custom::VpcRestrictDefaultSG', 1);
});

test('zones and gateways follow the settings', () => {
  const template = network({
    availabilityZones: ['eu-west-1a', 'eu-west-1b', 'eu-west-1c'],
    natGateways: 2,
    flowLogDays: 7,
  });
  template.resourceCountIs('AWS::EC2::Subnet', 9);
  template.resourceCountIs('AWS::EC2::NatGateway', 2);
  template.hasResourceProperties('AWS::EC2::Subnet', { AvailabilityZone: 'eu-west-1c' });
  template.hasResourceProperties('AWS::Logs::LogGroup', { RetentionInDays: 7 });
});

describe('a network that exists', () => {
  const template = network({
    availabilityZones: ['eu-west-1a', 'eu-west-1b'],
    interfaceEndpoints: ['kms'],
    existing: {
      vpcId: 'vpc-0123456789abcdef0',
      hostSubnetIds: ['subnet-0123456789abcdef0', 'subnet-0123456789abcdef1'],
      databaseSubnetIds: ['subnet-0123456789abcdef2', 'subnet-0123456789abcdef3'],
      natAddresses: ['203.0.113.1'],
    },
  });

  test('is left as it is: no subnet, route, gateway or flow log', () => {
    expect(
      new Set(Object.values(template.toJSON()['Resources'] as object).map(({ Type }: { Type: string }) => Type)),
    ).toEqual(new Set(['AWS::EC2::SecurityGroup', 'AWS::EC2::VPCEndpoint']));
  });

  test('gets the endpoints that the settings ask for, in the subnets of the host', () => {
    template.hasResourceProperties('AWS::EC2::VPCEndpoint', {
      VpcId: 'vpc-0123456789abcdef0',
      SubnetIds: ['subnet-0123456789abcdef0', 'subnet-0123456789abcdef1'],
    });
  });

  test('tells the addresses of its NAT gateways', () => template.hasOutput('*', { Value: '203.0.113.1' }));
});

describe('services of AWS inside the VPC', () => {
  const template = network({ interfaceEndpoints: [...INTERFACE_ENDPOINTS] });

  test('are there for each that the settings name, under their usual names', () => {
    const endpoints = Object.values(template.findResources('AWS::EC2::VPCEndpoint')).map(
      (endpoint) =>
        endpoint['Properties'] as { ServiceName: unknown; PrivateDnsEnabled?: boolean; VpcEndpointType: string },
    );
    const inside = endpoints.filter(({ VpcEndpointType }) => VpcEndpointType === 'Interface');
    expect(inside.map(({ ServiceName }) => textOf(ServiceName).split('.').at(-1)).sort()).toEqual(
      [...INTERFACE_ENDPOINTS].sort(),
    );
    expect(inside.every(({ PrivateDnsEnabled }) => PrivateDnsEnabled)).toBe(true);
  });

  test('let nobody in who is not named, not even the whole VPC', () => {
    template.hasResourceProperties('AWS::EC2::SecurityGroup', { SecurityGroupIngress: Match.absent() });
    template.resourceCountIs('AWS::EC2::SecurityGroupIngress', 0);
  });

  test('are not there by default', () => standard.resourceCountIs('AWS::EC2::VPCEndpoint', 1));
});
