import { Match, type Template } from 'aws-cdk-lib/assertions';
import type { MigrationSettings, PoolerSettings } from '../lib/settings';
import type { PoolerConfiguration } from '../lib/pooler/configuration';
import { leastSettings, limitedNetwork, propertiesOf, statement, templatesOf, textOf } from './helpers/app';

const arn = (name: string): string => `arn:aws:secretsmanager:eu-west-1:123456789012:secret:${name}`;

const settingsWith = (pooler: PoolerSettings, changes: Partial<MigrationSettings> = {}): MigrationSettings => ({
  ...leastSettings,
  source: { version: 11, reach: 'private', cidrs: ['192.168.0.0/16'], port: 5433, sslmode: 'require' },
  endpoint: { ...leastSettings.endpoint, pooler },
  agent: {
    applicationLogins: { shop: arn('shop') },
    cutover: { budgetSeconds: 30, switches: pooler.source ? [{ kind: 'pooler' }] : [] },
  },
  ...changes,
});

const source = { host: 'old.example.org', database: 'shop-db' };
const both = templatesOf(settingsWith({ source }));
const { target, migration } = both;
const plain = templatesOf(leastSettings);

interface RuleProperties {
  readonly GroupId: unknown;
  readonly SourceSecurityGroupId?: unknown;
  readonly DestinationSecurityGroupId?: unknown;
  readonly FromPort: number;
}

/** `group <- peer port` of each rule between two groups. */
const ingress = (template: Template): string[] =>
  Object.values(template.findResources('AWS::EC2::SecurityGroupIngress'))
    .map(({ Properties }) => Properties as RuleProperties)
    .map(({ GroupId, SourceSecurityGroupId, FromPort }) =>
      `${textOf(GroupId)} <- ${textOf(SourceSecurityGroupId)} ${FromPort}`.replace(
        /[^\w<\- ]|Fn|GetAtt|[0-9A-F]{8}/g,
        '',
      ),
    );

const configurationOf = (template: Template): PoolerConfiguration =>
  JSON.parse(
    textOf(propertiesOf(template, 'AWS::SSM::Parameter', /^PoolerConfiguration/)['Value']).replace(
      /\$\{(\{.*?\]\}|[\w:]+)\}/g,
      'token',
    ),
  ) as PoolerConfiguration;

test('without the setting there is none of it', () => {
  plain.target.resourceCountIs('AWS::EC2::Instance', 0);
  plain.target.resourceCountIs('Custom::PoolerSide', 0);
  expect(JSON.stringify(plain.migration.toJSON())).not.toContain('Pooler');
});

test('the host is told every console and the record of the side', () => {
  const parameter = propertiesOf(migration, 'AWS::SSM::Parameter', /^InstallationConfiguration/);
  const text = textOf(parameter['Value']);
  expect(
    text.match(/"consoles":\[\{"host":".{1,200}?","port":6433\},\{"host":".{1,200}?","port":6433\}\]/),
  ).not.toBeNull();
  expect(text).toContain('"side":{"parameter":"/ibex/shop/pooler/side"}');
});

describe('machines', () => {
  test('are two, in two zones, closed to termination, with a session token for metadata and encrypted disks', () => {
    target.resourceCountIs('AWS::EC2::Instance', 2);
    for (const number of [1, 2]) {
      target.hasResourceProperties('AWS::EC2::Instance', {
        InstanceType: 'c6i.large',
        SubnetId: { Ref: Match.stringLikeRegexp(`HostSubnet${number}`) },
        DisableApiTermination: true,
        Monitoring: true,
        KeyName: Match.absent(),
        BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: Match.objectLike({ Encrypted: true }) }],
        NetworkInterfaces: Match.absent(),
      });
    }
    target.hasResourceProperties('AWS::EC2::LaunchTemplate', {
      LaunchTemplateData: { MetadataOptions: { HttpTokens: 'required' } },
    });
  });

  test('are of Debian 13, by an image that is looked up once', () => {
    const lookup = propertiesOf(target, 'Custom::MachineImage', /^Pooler/);
    expect(textOf(lookup['Create'])).toContain('/aws/service/debian/release/13/latest/amd64');
    expect(lookup).not.toHaveProperty('Update');
  });

  test('are given their programs by a document, not by user data, which would restart them', () => {
    const script = textOf(propertiesOf(target, 'AWS::EC2::Instance')['UserData']);
    expect(Buffer.byteLength(script)).toBeLessThan(16_384);
    expect(script).not.toMatch(/listen_port|pooler\.sh|arn:aws:secretsmanager/);
    target.hasResourceProperties('AWS::SSM::Association', {
      Name: { Ref: Match.stringLikeRegexp('^PoolerInstallationInstall') },
      MaxConcurrency: '1',
      WaitForSuccessTimeoutSeconds: 900,
    });
  });

  test('that fail their bootstrap fail the deployment', () => {
    expect(Object.keys(target.findResources('AWS::CloudFormation::WaitCondition'))).toHaveLength(2);
  });

  test('are the same after a change of programs, logins or sizes', () => {
    const changed = templatesOf(
      settingsWith(
        { source, connectionsPerLogin: 7 },
        {
          agent: {
            applicationLogins: { shop: arn('shop'), billing: arn('billing') },
            cutover: { switches: [{ kind: 'pooler' }] },
          },
        },
      ),
    ).target;
    expect(changed.findResources('AWS::EC2::Instance')).toEqual(target.findResources('AWS::EC2::Instance'));
    const release = (template: Template): unknown =>
      propertiesOf<{ Parameters: { Release: unknown } }>(template, 'AWS::SSM::Association', /^Pooler/).Parameters
        .Release;
    expect(release(changed)).not.toEqual(release(target));
  });
});

describe('openings', () => {
  test('lead from clients over the load balancer and the pooler to the database, and nowhere else', () => {
    expect(
      ingress(target)
        .filter((rule) => rule.includes('Pooler'))
        .sort(),
    ).toEqual([
      'DatabaseSecurityGroupGroupId <- PoolerSecurityGroupGroupId 5432',
      'PoolerSecurityGroupGroupId <- EndpointSecurityGroupGroupId 6432',
    ]);
    const group = propertiesOf<{ SecurityGroupIngress: unknown[] }>(
      target,
      'AWS::EC2::SecurityGroup',
      /^EndpointSecurityGroup/,
    );
    expect(group.SecurityGroupIngress).toEqual(
      expect.arrayContaining([expect.objectContaining({ CidrIp: '10.0.0.0/8', FromPort: 6432, ToPort: 6432 })]),
    );
  });

  test('nobody comes to the pooler by address, and it goes to the source only while there is one', () => {
    const group = (template: Template) =>
      propertiesOf<{
        SecurityGroupIngress?: unknown[];
        SecurityGroupEgress: { CidrIp: string; FromPort: number }[];
      }>(template, 'AWS::EC2::SecurityGroup', /^PoolerSecurityGroup/);
    const outwards = (template: Template): string[] =>
      group(template).SecurityGroupEgress.map(({ CidrIp, FromPort }) => `${CidrIp} ${FromPort}`);
    expect(group(target)).not.toHaveProperty('SecurityGroupIngress');
    expect(outwards(target)).toEqual(['0.0.0.0/0 443', '0.0.0.0/0 80', '192.168.0.0/16 5433']);
    expect(outwards(templatesOf(settingsWith({})).target)).toEqual(['0.0.0.0/0 443', '0.0.0.0/0 80']);
    const limited = templatesOf(settingsWith({}, { network: limitedNetwork })).target;
    expect(outwards(limited)).toEqual(['192.168.40.10/32 443', '192.168.40.10/32 80']);
    limited.hasResourceProperties('AWS::EC2::SecurityGroupEgress', {
      GroupId: { 'Fn::GetAtt': [Match.stringLikeRegexp('^PoolerSecurityGroup'), 'GroupId'] },
      DestinationPrefixListId: 'pl-6da54004',
    });
  });

  test('the console is open to the Bucardo host alone, and closes with its stack', () => {
    expect(ingress(migration).filter((rule) => rule.endsWith(' 6433'))).toHaveLength(1);
    expect(JSON.stringify(target.toJSON())).not.toContain('6433');
    migration.hasResourceProperties('AWS::EC2::SecurityGroupEgress', {
      GroupId: { 'Fn::GetAtt': [Match.stringLikeRegexp('^HostSecurityGroup'), 'GroupId'] },
      FromPort: 6433,
      ToPort: 6433,
    });
  });

  test('a listener of its own leads to both machines, and cuts off whoever hangs on a dead one', () => {
    target.hasResourceProperties('AWS::ElasticLoadBalancingV2::Listener', {
      Port: 6432,
      Protocol: 'TCP',
      ListenerAttributes: [{ Key: 'tcp.idle_timeout.seconds', Value: '6000' }],
      DefaultActions: [Match.objectLike({ TargetGroupArn: { Ref: Match.stringLikeRegexp('^PoolerTargets') } })],
    });
    target.hasResourceProperties('AWS::ElasticLoadBalancingV2::TargetGroup', {
      TargetType: 'instance',
      Port: 6432,
      Targets: [Match.objectLike({ Port: 6432 }), Match.objectLike({ Port: 6432 })],
      HealthCheckProtocol: 'TCP',
      HealthCheckIntervalSeconds: 10,
      TargetGroupAttributes: Match.arrayWith([
        { Key: 'preserve_client_ip.enabled', Value: 'false' },
        { Key: 'target_health_state.unhealthy.connection_termination.enabled', Value: 'true' },
      ]),
    });
  });
});

describe('what it is told', () => {
  test('is a pause that lasts as long as the budget, and what a switch beside it has of its own', () => {
    const record = { kind: 'dns', hostedZoneId: 'Z0123456789', name: 'db.x.org', type: 'CNAME' } as const;
    const dns = { ...record, source: 'old.x.org', target: 'new.x.org', ttlSeconds: 5, budgetSeconds: 20 };
    const agent = {
      applicationLogins: { shop: arn('shop') },
      cutover: { budgetSeconds: 30, switches: [{ kind: 'pooler' } as const, dns] },
    };
    const { target: its } = templatesOf(settingsWith({ source }, { agent }));
    expect(configurationOf(its).pauseLimitSeconds).toBe(51);
  });

  test('are both sides, with the target always verified', () => {
    expect(configurationOf(target)).toEqual({
      region: 'token',
      sideParameter: '/ibex/shop/pooler/side',
      database: 'app',
      sides: {
        source: { host: 'old.example.org', port: 5433, database: 'shop-db', sslmode: 'require' },
        target: {
          host: 'token',
          port: 5432,
          database: 'app',
          sslmode: 'verify-full',
          authorities: '/opt/ibex-pooler/rds-global-bundle.pem',
        },
      },
      logins: { shop: arn('shop') },
      consoleSecret: 'token',
      poolSize: 40,
      maxClients: 2000,
      pauseLimitSeconds: 31,
    });
  });

  test.each([
    ['public', '/etc/ssl/certs/ca-certificates.crt'],
    ['rds', '/opt/ibex-pooler/rds-global-bundle.pem'],
  ] as const)('a source with certificates "%s" is verified by %s', (certificates, authorities) => {
    const settings = settingsWith(
      { source },
      { source: { version: 11, reach: 'public', cidrs: 'anywhere', certificates } },
    );
    expect(configurationOf(templatesOf(settings).target).sides.source).toMatchObject({
      sslmode: 'verify-full',
      authorities,
    });
  });

  test('is no secret: parameter, documents and user data only name secrets', () => {
    for (const template of Object.values(both)) {
      expect(JSON.stringify(template.findResources('AWS::SSM::Document'))).not.toContain('secretsmanager');
    }
    expect(JSON.stringify(configurationOf(target))).not.toMatch(/password/i);
    target.hasResourceProperties('AWS::SecretsManager::Secret', {
      GenerateSecretString: {
        SecretStringTemplate: '{"username":"ibex_admin"}',
        GenerateStringKey: 'password',
        ExcludePunctuation: true,
        PasswordLength: 40,
      },
      KmsKeyId: Match.anyValue(),
    });
  });
});

describe('the side', () => {
  const call = (template: Template, name: 'Create' | 'Delete'): Record<string, unknown> =>
    JSON.parse(textOf(propertiesOf(template, 'Custom::PoolerSide')[name])) as Record<string, unknown>;

  test('is written when the stack is made, and by no later deployment', () => {
    expect(call(target, 'Create')).toMatchObject({
      action: 'PutParameter',
      parameters: {
        Name: '/ibex/shop/pooler/side',
        Value: 'source',
        AllowedPattern: '^(source|target)$',
        Overwrite: false,
      },
    });
    expect(propertiesOf(target, 'Custom::PoolerSide')).not.toHaveProperty('Update');
    expect(call(target, 'Delete')).toMatchObject({ action: 'DeleteParameter' });
  });

  test('is the target where there is no source', () => {
    expect(call(templatesOf(settingsWith({})).target, 'Create')).toMatchObject({ parameters: { Value: 'target' } });
  });
});

describe('rights', () => {
  const role = (sid: string) => {
    const [found] = Object.entries(target.findResources('AWS::IAM::Policy'))
      .filter(([id]) => id.startsWith('PoolerRole'))
      .flatMap(
        ([, { Properties }]) =>
          (Properties as { PolicyDocument: { Statement: Record<string, unknown>[] } }).PolicyDocument.Statement,
      )
      .filter((each) => each['Sid'] === sid);
    return found ?? {};
  };

  test('of the machines end with the secrets and parameters that they are told', () => {
    expect(role('Secrets')).toMatchObject({
      Action: 'secretsmanager:GetSecretValue',
      Resource: [arn('shop'), { Ref: expect.stringMatching(/^PoolerConsole/) }],
    });
    const parameters = (role('Parameters')['Resource'] as unknown[]).map(textOf);
    expect(role('Parameters')).toMatchObject({ Action: 'ssm:GetParameter' });
    expect(parameters).toEqual([
      expect.stringMatching(/parameter\$\{PoolerConfiguration|parameter\/\$\{PoolerConfiguration/),
      expect.stringMatching(/parameter\/ibex\/shop\/pooler\/side$/),
    ]);
    expect(role('SecretKeys')).toMatchObject({
      Action: 'kms:Decrypt',
      Condition: { StringEquals: { 'kms:EncryptionContext:SecretARN': expect.arrayContaining([arn('shop')]) } },
    });
  });

  test('end with the metrics of one namespace besides', () => {
    expect(role('PoolerMetrics')).toMatchObject({
      Action: 'cloudwatch:PutMetricData',
      Condition: { StringEquals: { 'cloudwatch:namespace': 'Ibex/Pooler' } },
    });
  });

  test("to record the side are the Bucardo host's, for this one parameter", () => {
    const { Action, Resource } = statement(migration, 'PoolerSide');
    expect(Action).toEqual(['ssm:GetParameter', 'ssm:PutParameter']);
    expect(textOf(Resource)).toMatch(/parameter\/ibex\/shop\/pooler\/side$/);
  });

  test('a certificate of yours is read from its secret', () => {
    const template = templatesOf(settingsWith({ source, certificateSecretArn: arn('certificate') })).target;
    expect(configurationOf(template).certificate).toBe(arn('certificate'));
    expect(JSON.stringify(template.findResources('AWS::IAM::Policy'))).toContain(arn('certificate'));
  });
});
