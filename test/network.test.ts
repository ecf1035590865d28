import { Match, Template } from 'aws-cdk-lib/assertions';
import { Network } from '../lib/network';
import { resolved, testStack } from './helpers/app';

function network(settings: Parameters<typeof resolved>[0] = {}): Template {
  const stack = testStack();
  new Network(stack, 'Network', resolved(settings).network);
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
    network: { availabilityZones: ['eu-west-1a', 'eu-west-1b', 'eu-west-1c'], natGateways: 2, flowLogDays: 7 },
  });
  template.resourceCountIs('AWS::EC2::Subnet', 9);
  template.resourceCountIs('AWS::EC2::NatGateway', 2);
  template.hasResourceProperties('AWS::EC2::Subnet', { AvailabilityZone: 'eu-west-1c' });
  template.hasResourceProperties('AWS::Logs::LogGroup', { RetentionInDays: 7 });
});
