import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { ROOT } from '../lib/bundle';
import type { MigrationSettings } from '../lib/settings';
import { leastSettings, limitedNetwork, propertiesOf, stacksOf, templatesOf, textOf } from './helpers/app';

const hostOf = (host: MigrationSettings['host'] = {}, source = leastSettings.source): Template =>
  templatesOf({ ...leastSettings, source, host }).migration;

const standard = hostOf();
const instanceOf = (template: Template) => propertiesOf(template, 'AWS::EC2::Instance');
const userDataOf = (template: Template): string => textOf(instanceOf(template)['UserData']);

describe('the instance', () => {
  test('is an m6i of Debian that nobody terminates by mistake, without a key', () => {
    standard.hasResourceProperties('AWS::EC2::Instance', {
      InstanceType: 'm6i.4xlarge',
      DisableApiTermination: true,
      KeyName: Match.absent(),
    });
  });

  test('gives its credentials to IMDSv2 only', () => {
    standard.hasResourceProperties('AWS::EC2::LaunchTemplate', {
      LaunchTemplateData: { MetadataOptions: { HttpTokens: 'required' } },
    });
    expect(instanceOf(standard)['LaunchTemplate']).toBeDefined();
  });

  test('has an encrypted root volume', () => {
    standard.hasResourceProperties('AWS::EC2::Instance', {
      BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { Encrypted: true, VolumeType: 'gp3' } }],
    });
  });

  test('follows the settings', () => {
    const template = hostOf({ instanceType: 'm6i.8xlarge', terminationProtection: false });
    template.hasResourceProperties('AWS::EC2::Instance', { InstanceType: 'm6i.8xlarge', DisableApiTermination: false });
  });
});

describe('the image', () => {
  test('is looked up when the stack is created, and never again', () => {
    expect(Object.keys(propertiesOf(standard, 'Custom::MachineImage'))).toEqual([
      'ServiceToken',
      'Create',
      'InstallLatestAwsSdk',
    ]);
    expect(instanceOf(standard)['ImageId']).toEqual({
      'Fn::GetAtt': [expect.stringContaining('HostImageLookup'), 'Parameter.Value'],
    });
  });

  test('can be pinned for each Region', () => {
    const template = hostOf({ image: { amiIds: { 'eu-west-1': 'ami-0123456789abcdef0' } } });
    template.resourceCountIs('Custom::MachineImage', 0);
    expect(JSON.stringify(template.toJSON()['Mappings'])).toContain('ami-0123456789abcdef0');
  });
});

describe('the data volume', () => {
  test('is encrypted gp3 of the size and speed of the settings, and leaves a snapshot', () => {
    const template = hostOf({ volume: { sizeGiB: 1500, iops: 12_000, throughputMiBs: 590 } });
    template.hasResource('AWS::EC2::Volume', {
      Properties: { Encrypted: true, VolumeType: 'gp3', Size: 1500, Iops: 12_000, Throughput: 590 },
      DeletionPolicy: 'Snapshot',
      UpdateReplacePolicy: 'Snapshot',
    });
  });

  test('is in the zone of the instance, which waits for it', () => {
    const volume = propertiesOf(standard, 'AWS::EC2::Volume');
    expect(volume['AvailabilityZone']).toEqual(instanceOf(standard)['AvailabilityZone']);
    standard.hasResource('AWS::CloudFormation::WaitCondition', {
      DependsOn: [Match.stringLikeRegexp('^HostAttachment')],
    });
  });
});

describe('the security group', () => {
  const egress = (template: Template): string[] =>
    propertiesOf<{ SecurityGroupEgress: { CidrIp: string; FromPort: number }[] }>(
      template,
      'AWS::EC2::SecurityGroup',
    ).SecurityGroupEgress.map(({ CidrIp, FromPort }) => `${CidrIp} ${FromPort}`);

  test('lets nobody in', () => {
    standard.allResourcesProperties('AWS::EC2::SecurityGroup', { SecurityGroupIngress: Match.absent() });
  });

  test('lets out to packages, AWS, and a source that may be anywhere', () => {
    expect(egress(standard)).toEqual(['0.0.0.0/0 443', '0.0.0.0/0 80', '0.0.0.0/0 5432']);
  });

  test('names the networks of a private source', () => {
    const template = hostOf({}, { version: 11, reach: 'private', cidrs: ['192.168.7.0/24'], port: 5433 });
    expect(egress(template)).toEqual(['0.0.0.0/0 443', '0.0.0.0/0 80', '192.168.7.0/24 5433']);
  });

  test('lets out to a mirror, S3 and the endpoints of the VPC where the settings say no more', () => {
    const { migration } = stacksOf({ ...leastSettings, network: limitedNetwork });
    const template = Template.fromStack(migration);
    expect(egress(template)).toEqual(['192.168.40.10/32 443', '192.168.40.10/32 80', '0.0.0.0/0 5432']);
    template.hasResourceProperties('AWS::EC2::SecurityGroupEgress', {
      DestinationPrefixListId: 'pl-6da54004',
      FromPort: 443,
    });
    template.hasResourceProperties('AWS::EC2::SecurityGroupEgress', {
      Description: 'AWS inside the VPC',
      FromPort: 443,
      DestinationSecurityGroupId: Match.anyValue(),
    });
  });

  test('a fork has a rule where its networks or its port are not the source’s', () => {
    const source = { version: 11, reach: 'private', cidrs: ['192.168.7.0/24'] } as const;
    const rules = (fork: object): string[] => egress(hostOf({}, { ...source, fork }));
    expect(rules({}).slice(2)).toEqual(['192.168.7.0/24 5432']);
    expect(rules({ port: 5433 }).slice(2)).toEqual(['192.168.7.0/24 5432', '192.168.7.0/24 5433']);
    expect(rules({ cidrs: ['192.168.8.0/24', '192.168.7.0/24'] }).slice(2)).toEqual([
      '192.168.7.0/24 5432',
      '192.168.8.0/24 5432',
    ]);
  });

  test('is let in by the target, by a rule of this stack', () => {
    standard.hasResourceProperties('AWS::EC2::SecurityGroupIngress', {
      SourceSecurityGroupId: { 'Fn::GetAtt': [Match.stringLikeRegexp('^HostSecurityGroup'), 'GroupId'] },
      FromPort: 5432,
      ToPort: 5432,
    });
  });
});

describe('user data', () => {
  test('is the bootstrap as it stands in assets, shared part first, with its values before it', () => {
    const script = ['bootstrap/common.sh', 'host/bootstrap.sh']
      .map((file) => readFileSync(join(ROOT, 'assets', file), 'utf8').replace('#!/usr/bin/env bash\n', ''))
      .join('');
    const userData = userDataOf(standard);
    expect(userData.endsWith(script)).toBe(true);
    expect(userData.slice(0, -script.length).trim().split('\n')).toEqual([
      '#!/usr/bin/env bash',
      "export IBEX_REGION='${AWS::Region}'",
      expect.stringMatching(/^export IBEX_VOLUME_ID='\$\{HostData\w+\}'$/),
      expect.stringMatching(/^export IBEX_SIGNAL_URL='\$\{HostSignal\w+\}'$/),
      "export IBEX_HOST_POSTGRES='11'",
      "export IBEX_CLIENT_POSTGRES='17'",
      expect.stringContaining('export IBEX_NODE_URL='),
      expect.stringContaining('export IBEX_NODE_SHA256='),
      "export IBEX_SSM_AGENT_VERSION='3.3.2746.0'",
      "export IBEX_SSM_AGENT_SHA256=''",
    ]);
  });

  test('has less than the 16 KB that EC2 takes', () => {
    expect(Buffer.byteLength(userDataOf(standard))).toBeLessThan(16_000);
  });

  test('does not change with the program, its tuning, the volume or the tags', () => {
    const other = Template.fromStack(
      stacksOf({
        ...leastSettings,
        host: { volume: { sizeGiB: 900 } },
        agent: { dump: { jobs: 3 }, excludeSchemas: ['x'] },
        tags: { a: 'b' },
      }).migration,
    );
    expect(userDataOf(other)).toBe(userDataOf(standard));
  });
});
