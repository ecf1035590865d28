import { Match, Template } from 'aws-cdk-lib/assertions';
import type { MigrationSettings } from '../lib/settings';
import { TargetStack } from '../lib/target-stack';
import { leastSettings, resolved, testApp } from './helpers/app';

function endpoint(settings: MigrationSettings['endpoint'], target: MigrationSettings['target'] = {}): Template {
  const stack = new TargetStack(testApp(), 'shop-target', { settings: resolved({ endpoint: settings, target }) });
  return Template.fromStack(stack);
}

const internal = endpoint(leastSettings.endpoint);
const open = endpoint({
  scheme: 'internet-facing',
  allowedCidrs: ['203.0.113.0/24', '198.51.100.7/32'],
  port: 6432,
  idleTimeoutSeconds: 60,
});
const balancer = 'AWS::ElasticLoadBalancingV2::LoadBalancer';

test('the scheme is what the settings say, in subnets to match', () => {
  internal.hasResourceProperties(balancer, {
    Scheme: 'internal',
    Subnets: Match.arrayWith([{ Ref: Match.stringLikeRegexp('HostSubnet1') }]),
  });
  open.hasResourceProperties(balancer, {
    Scheme: 'internet-facing',
    Subnets: Match.arrayWith([{ Ref: Match.stringLikeRegexp('PublicSubnet1') }]),
  });
});

test('only the networks of the settings may connect', () => {
  const ingress = (template: Template) =>
    Object.values(template.findResources('AWS::EC2::SecurityGroup'))
      .flatMap((group) => (group['Properties']['SecurityGroupIngress'] ?? []) as { CidrIp: string; FromPort: number }[])
      .map(({ CidrIp, FromPort }) => `${CidrIp} ${FromPort}`);
  expect(ingress(internal)).toEqual(['10.0.0.0/8 5432']);
  expect(ingress(open)).toEqual(['203.0.113.0/24 6432', '198.51.100.7/32 6432']);
});

test('the security group is there from the start and reaches the database only', () => {
  internal.hasResourceProperties(balancer, {
    SecurityGroups: [{ 'Fn::GetAtt': [Match.stringLikeRegexp('^EndpointSecurityGroup'), 'GroupId'] }],
  });
  internal.resourcePropertiesCountIs(
    'AWS::EC2::SecurityGroupIngress',
    {
      GroupId: { 'Fn::GetAtt': [Match.stringLikeRegexp('^DatabaseSecurityGroup'), 'GroupId'] },
      SourceSecurityGroupId: { 'Fn::GetAtt': [Match.stringLikeRegexp('^EndpointSecurityGroup'), 'GroupId'] },
      FromPort: 5432,
      ToPort: 5432,
    },
    1,
  );
  internal.resourceCountIs('AWS::EC2::SecurityGroupIngress', 1);
});

test.each([
  [internal, '6000', 5432],
  [open, '60', 6432],
])('silent connections live as long as the settings say', (template, seconds, port) => {
  template.hasResourceProperties('AWS::ElasticLoadBalancingV2::Listener', {
    Port: port,
    Protocol: 'TCP',
    ListenerAttributes: [{ Key: 'tcp.idle_timeout.seconds', Value: seconds }],
  });
});

test('clients of a former writer are cut off at once', () => {
  internal.hasResourceProperties('AWS::ElasticLoadBalancingV2::TargetGroup', {
    TargetType: 'ip',
    Port: 5432,
    HealthCheckIntervalSeconds: 10,
    TargetGroupAttributes: Match.arrayWith([
      { Key: 'preserve_client_ip.enabled', Value: 'false' },
      { Key: 'deregistration_delay.connection_termination.enabled', Value: 'true' },
      { Key: 'target_health_state.unhealthy.connection_termination.enabled', Value: 'true' },
    ]),
  });
});

test('a former writer is forgotten without delay', () => {
  internal.hasResourceProperties('AWS::ElasticLoadBalancingV2::TargetGroup', {
    TargetGroupAttributes: Match.arrayWith([{ Key: 'deregistration_delay.timeout_seconds', Value: '0' }]),
  });
});

test('a writer in another zone is reached, and nobody deletes the balancer by mistake', () => {
  internal.hasResourceProperties(balancer, {
    LoadBalancerAttributes: Match.arrayWith([
      { Key: 'deletion_protection.enabled', Value: 'true' },
      { Key: 'load_balancing.cross_zone.enabled', Value: 'true' },
    ]),
  });
});

describe('the function that keeps targets on the writer', () => {
  test('knows group, writer and port', () => {
    internal.hasResourceProperties('AWS::Lambda::Function', {
      Runtime: 'nodejs22.x',
      Environment: {
        Variables: {
          TARGET_GROUP_ARN: { Ref: Match.stringLikeRegexp('^EndpointWriter') },
          WRITER: { 'Fn::GetAtt': [Match.stringLikeRegexp('^DatabaseCluster'), 'Endpoint.Address'] },
          PORT: '5432',
        },
      },
    });
  });

  test('runs each minute, and at events of this cluster only', () => {
    internal.hasResourceProperties('AWS::Events::Rule', { ScheduleExpression: 'rate(1 minute)' });
    internal.hasResourceProperties('AWS::Events::Rule', {
      EventPattern: {
        source: ['aws.rds'],
        'detail-type': ['RDS DB Cluster Event'],
        resources: [{ 'Fn::Join': ['', Match.arrayWith([{ Ref: Match.stringLikeRegexp('^DatabaseCluster') }])] }],
      },
    });
  });

  test('may change this target group and no other', () => {
    internal.hasResourceProperties('AWS::IAM::Policy', {
      PolicyDocument: {
        Statement: Match.arrayWith([
          Match.objectLike({
            Action: ['elasticloadbalancing:DeregisterTargets', 'elasticloadbalancing:RegisterTargets'],
            Resource: { Ref: Match.stringLikeRegexp('^EndpointWriter') },
          }),
        ]),
      },
    });
  });
});

describe('a source behind the load balancer', () => {
  const source = { addresses: ['10.200.0.5', '10.200.0.6'], port: 5433, otherPort: 6432 };
  const both = endpoint({ ...leastSettings.endpoint, source });
  const group = (id: string): object => ({ TargetGroupArn: { Ref: Match.stringLikeRegexp(`^Endpoint${id}`) } });

  test('is what the address leads to; the target is checked behind a listener of its own', () => {
    for (const [port, id] of [
      [5432, 'Source'],
      [6432, 'Writer'],
    ] as const) {
      both.hasResourceProperties('AWS::ElasticLoadBalancingV2::Listener', {
        Port: port,
        DefaultActions: [Match.objectLike(group(id))],
      });
    }
    both.hasResourceProperties('AWS::ElasticLoadBalancingV2::TargetGroup', {
      Port: 5433,
      TargetType: 'ip',
      Targets: source.addresses.map((Id) => ({ Id, Port: 5433, AvailabilityZone: 'all' })),
    });
  });

  test('is reached at its addresses and port, and nothing else is', () => {
    both.hasResourceProperties('AWS::EC2::SecurityGroup', {
      SecurityGroupEgress: source.addresses.map((address) =>
        Match.objectLike({ CidrIp: `${address}/32`, FromPort: 5433, ToPort: 5433 }),
      ),
      SecurityGroupIngress: [Match.objectLike({ FromPort: 5432 }), Match.objectLike({ FromPort: 6432 })],
    });
  });

  test('comes with the words of the switch that moves its clients', () => {
    const [output] = Object.values(both.findOutputs('*', { Description: Match.stringLikeRegexp('agent.cutover') }));
    const text = JSON.stringify(output?.['Value']);
    expect(text).toMatch(
      /kind: 'nlb', listenerArn: '.*EndpointLoadBalancerListener.*sourceGroupArn.*EndpointSource.*targetGroupArn.*EndpointWriter/,
    );
  });
});

describe('a second listener', () => {
  const both = endpoint({ ...leastSettings.endpoint, readerPort: 5433 }, { readers: 2 });

  test('leads to the readers, for the same networks and with the same attributes', () => {
    both.hasResourceProperties('AWS::ElasticLoadBalancingV2::Listener', {
      Port: 5433,
      DefaultActions: [Match.objectLike({ TargetGroupArn: { Ref: Match.stringLikeRegexp('^EndpointReaders') } })],
      ListenerAttributes: [{ Key: 'tcp.idle_timeout.seconds', Value: '6000' }],
    });
    both.hasResourceProperties('AWS::EC2::SecurityGroup', {
      SecurityGroupIngress: [Match.objectLike({ FromPort: 5432 }), Match.objectLike({ FromPort: 5433 })],
    });
    both.resourceCountIs('AWS::ElasticLoadBalancingV2::TargetGroup', 2);
  });

  test('is kept by the function, which knows every server and may change both groups', () => {
    both.hasResourceProperties('AWS::Lambda::Function', {
      Environment: {
        Variables: {
          READER_TARGET_GROUP_ARN: { Ref: Match.stringLikeRegexp('^EndpointReaders') },
          INSTANCES: { 'Fn::Join': ['', Match.arrayWith([','])] },
        },
      },
    });
    both.hasResourceProperties('AWS::IAM::Policy', {
      PolicyDocument: {
        Statement: Match.arrayWith([
          Match.objectLike({
            Action: ['elasticloadbalancing:DeregisterTargets', 'elasticloadbalancing:RegisterTargets'],
            Resource: [
              { Ref: Match.stringLikeRegexp('^EndpointReaders') },
              { Ref: Match.stringLikeRegexp('^EndpointWriter') },
            ],
          }),
        ]),
      },
    });
  });

  test('is not there by default', () => internal.resourceCountIs('AWS::ElasticLoadBalancingV2::Listener', 1));
});

test('a private name leads to the load balancer, and is what applications are told', () => {
  const named = endpoint({
    ...leastSettings.endpoint,
    privateName: { hostedZoneId: 'Z0123456789ABCDEFGHIJ', zoneName: 'shop.internal', recordName: 'db' },
  });
  named.hasResourceProperties('AWS::Route53::RecordSet', {
    HostedZoneId: 'Z0123456789ABCDEFGHIJ',
    Name: 'db.shop.internal.',
    Type: 'A',
    AliasTarget: Match.objectLike({ DNSName: Match.anyValue() }),
  });
  named.hasOutput('*', { Value: 'db.shop.internal:5432' });
  internal.resourceCountIs('AWS::Route53::RecordSet', 0);
});

test('RDS for PostgreSQL is followed by the events of its instance', () => {
  endpoint(leastSettings.endpoint, { engine: 'postgres' }).hasResourceProperties('AWS::Events::Rule', {
    EventPattern: { source: ['aws.rds'], 'detail-type': ['RDS DB Instance Event'] },
  });
});
