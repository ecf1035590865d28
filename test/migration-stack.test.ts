import { Match, Template } from 'aws-cdk-lib/assertions';
import { PHASES } from '../lib/phases';
import { leastSettings, propertiesOf, stacksOf, statement, templatesOf, textOf } from './helpers/app';

const { migration } = templatesOf({ ...leastSettings, notifications: { emails: ['ops@example.org'] } });

const outputs = (template: Template): Record<string, string> =>
  Object.fromEntries(
    Object.entries(template.toJSON()['Outputs'] as Record<string, { Value: unknown }>).map(([name, { Value }]) => [
      name,
      textOf(Value),
    ]),
  );
const actionsOf = (sid: string): string[] => [statement(migration, sid)['Action']].flat() as string[];
const resourcesOf = (sid: string): string[] => [statement(migration, sid)['Resource']].flat().map(textOf);

describe('identity', () => {
  test('no role has a managed policy or may do everything', () => {
    const hostRole = Object.entries(migration.findResources('AWS::IAM::Role')).filter(([id]) =>
      /^(HostRole|AutomationRole)/.test(id),
    );
    expect(hostRole).toHaveLength(2);
    for (const [, role] of hostRole) expect(role['Properties'].ManagedPolicyArns).toBeUndefined();
    expect(JSON.stringify(migration.findResources('AWS::IAM::Policy'))).not.toMatch(/"Action":"\*"|:\*"[,\]]*"Effect"/);
  });

  test('runbooks send the commands of jobs and profiles to our host, and nothing else', () => {
    expect(actionsOf('SendTheCommands')).toEqual(['ssm:SendCommand']);
    expect(resourcesOf('SendTheCommands').map((arn) => arn.replace(/^.*?:(ssm|ec2):/, '$1:'))).toEqual([
      expect.stringMatching(/^ec2:.*:instance\/\$\{HostInstance\w+\}$/),
      expect.stringMatching(/^ssm:.*:document\/shop-migration-job$/),
      expect.stringMatching(/^ssm:.*:document\/shop-migration-profile$/),
    ]);
  });

  test('runbooks start runbooks of this stack only, under their own role', () => {
    expect(resourcesOf('StartRunbooks')).toEqual([
      expect.stringMatching(/:automation-definition\/shop-migration-\*:\*$/),
    ]);
    expect(statement(migration, 'PassItself')).toMatchObject({
      Condition: { StringEquals: { 'iam:PassedToService': 'ssm.amazonaws.com' } },
    });
  });

  test('only Systems Manager of this account may take the role of the runbooks', () => {
    migration.hasResourceProperties('AWS::IAM::Role', {
      AssumeRolePolicyDocument: {
        Statement: [
          Match.objectLike({
            Principal: { Service: 'ssm.amazonaws.com' },
            Condition: Match.objectLike({ StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } } }),
          }),
        ],
      },
    });
  });

  test('the host reads the logins of source, migrator and master, and those of the applications', () => {
    const secret = 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop-web';
    const { migration: other } = templatesOf({ ...leastSettings, agent: { applicationLogins: { web: secret } } });
    expect(actionsOf('Secrets')).toEqual(['secretsmanager:GetSecretValue']);
    expect(resourcesOf('Secrets')).toHaveLength(3);
    expect([statement(other, 'Secrets')['Resource']].flat()).toContain(secret);
  });

  test('the host opens those secrets with whatever key they have, and nothing else with it', () => {
    expect(statement(migration, 'SecretKeys')).toMatchObject({
      Action: 'kms:Decrypt',
      Condition: {
        StringEquals: {
          'kms:EncryptionContext:SecretARN': expect.arrayContaining(
            statement(migration, 'Secrets')['Resource'] as unknown[],
          ) as unknown,
          'kms:ViaService': expect.anything() as unknown,
        },
      },
    });
  });

  test('the host publishes metrics in its own namespace only', () => {
    expect(statement(migration, 'HostMetrics')).toMatchObject({
      Condition: { StringEquals: { 'cloudwatch:namespace': 'Ibex/Host' } },
    });
  });

  test.each(['SystemsManagerAgent', 'LogGroups', 'FollowCommands', 'HostMetrics'])(
    '%s is among the few without a resource',
    (sid) => {
      expect(resourcesOf(sid)).toEqual(['*']);
    },
  );

  test('no other statement is for every resource', () => {
    const policies = Object.entries(migration.findResources('AWS::IAM::Policy')).filter(([id]) =>
      /^(Host|Automation)Role/.test(id),
    );
    const wide = policies
      .flatMap(([, policy]) => policy['Properties'].PolicyDocument.Statement as { Sid: string; Resource: unknown }[])
      .filter(({ Resource }) => Resource === '*')
      .map(({ Sid }) => Sid);
    expect(wide.sort()).toEqual([
      'AddressHealth',
      'Alarms',
      'FollowCommands',
      'HostMetrics',
      'LogGroups',
      'SystemsManagerAgent',
    ]);
  });
});

describe('the source secret', () => {
  test('is made empty: a random text that is no login', () => {
    migration.hasResourceProperties('AWS::SecretsManager::Secret', {
      GenerateSecretString: {},
      SecretString: Match.absent(),
    });
  });

  test('is not made when the settings name one', () => {
    const secretArn = 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:source-AbCdEf';
    const { migration: other } = templatesOf({
      ...leastSettings,
      source: { version: 11, reach: 'public', cidrs: 'anywhere', secretArn },
    });
    expect(Object.keys(other.findResources('AWS::SecretsManager::Secret')).join()).toMatch(/^MigratorSecret\w+$/);
    expect([statement(other, 'Secrets')['Resource']].flat()).toContain(secretArn);
  });
});

describe('a fork that is dumped', () => {
  const source = { ...leastSettings.source, sslmode: 'require', certificates: 'rds' } as const;
  const { migration: forked } = templatesOf({ ...leastSettings, source: { ...source, fork: { port: 5433 } } });

  test('has an empty secret of its own under our key, which the host may read, and an output that tells it', () => {
    const { Description, KmsKeyId, GenerateSecretString } = propertiesOf(
      forked,
      'AWS::SecretsManager::Secret',
      /^ForkSecret/,
    );
    expect([Description, GenerateSecretString]).toEqual([expect.stringContaining('fork that is dumped'), {}]);
    expect(KmsKeyId).toEqual({ 'Fn::GetAtt': [expect.stringMatching(/^Key/), 'Arn'] });
    expect([statement(forked, 'Secrets')['Resource']].flat().map(textOf)).toContainEqual(
      expect.stringContaining('ForkSecret'),
    );
    expect(outputs(forked)['ForkSecretToFill']).toMatch(/put-secret-value .*ForkSecret.* file:\/\/fork\.json$/);
    expect(outputs(migration)['ForkSecretToFill']).toBeUndefined();
  });

  test('is reached as the source is, but for what is said of it', () => {
    const { Value } = propertiesOf<{ Value: unknown }>(forked, 'AWS::SSM::Parameter', /Configuration/);
    expect(textOf(Value)).toMatch(
      /"dumpSource":\{"secret":"\$\{ForkSecret\w+\}","port":5433,"sslmode":"require","sslRootCert":"[^"]+"\}/,
    );
    const { Value: plain } = propertiesOf<{ Value: unknown }>(migration, 'AWS::SSM::Parameter', /Configuration/);
    expect(textOf(plain)).not.toContain('dumpSource');
  });

  test('may have a secret that exists', () => {
    const secretArn = 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:fork-AbCdEf';
    const { migration: other } = templatesOf({ ...leastSettings, source: { ...source, fork: { secretArn } } });
    expect(Object.keys(other.findResources('AWS::SecretsManager::Secret')).join()).not.toContain('Fork');
    expect([statement(other, 'Secrets')['Resource']].flat()).toContain(secretArn);
  });
});

describe('the migrator secret', () => {
  test('holds a login of our own with a password that never rotates, under our key', () => {
    migration.hasResourceProperties('AWS::SecretsManager::Secret', {
      GenerateSecretString: {
        SecretStringTemplate: '{"username":"ibex_migrator"}',
        GenerateStringKey: 'password',
        PasswordLength: 40,
      },
      KmsKeyId: { 'Fn::GetAtt': [Match.stringLikeRegexp('^Key'), 'Arn'] },
    });
    migration.resourceCountIs('AWS::SecretsManager::RotationSchedule', 0);
  });
});

describe('the command document', () => {
  const { Content: job } = propertiesOf<{
    Content: { parameters: Record<string, { allowedValues: string[] }>; mainSteps: unknown };
  }>(migration, 'AWS::SSM::Document', /^Job/);

  test('runs one program, with parameters as variables', () => {
    expect(job.mainSteps).toEqual([
      {
        name: 'run',
        action: 'aws:runShellScript',
        inputs: {
          timeoutSeconds: '28800',
          runCommand: [
            'if [ "$SSM_Action" = approve ]; then exec "${IBEX_HOME:-/opt/ibex}/bin/ibex" approve --by "$SSM_By"; fi',
            'set -- job "$SSM_Action" "$SSM_Phase" --wait "$SSM_WaitSeconds"',
            'if [ "$SSM_Repair" = true ]; then set -- "$@" --repair; fi',
            'exec "${IBEX_HOME:-/opt/ibex}/bin/ibex" "$@"',
          ],
        },
      },
    ]);
    for (const parameter of Object.values(job.parameters))
      expect(parameter).toMatchObject({ interpolationType: 'ENV_VAR' });
  });

  test('knows the actions and the phases', () => {
    expect(job.parameters['Action']?.allowedValues).toEqual(['start', 'status', 'result', 'approve']);
    expect(job.parameters['Phase']?.allowedValues).toEqual([...PHASES]);
  });

  test('has its output in a log group that expires', () => {
    migration.hasResourceProperties('AWS::Logs::LogGroup', {
      LogGroupName: '/aws/ssm/shop-migration-job',
      RetentionInDays: 90,
    });
  });
});

describe('notices', () => {
  test('go to a topic whose name aws:approve accepts, over TLS only', () => {
    migration.hasResourceProperties('AWS::SNS::Topic', { TopicName: 'Automation-shop-migration' });
    migration.hasResourceProperties('AWS::SNS::TopicPolicy', {
      PolicyDocument: {
        Statement: Match.arrayWith([
          Match.objectLike({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } }),
        ]),
      },
    });
    migration.hasResourceProperties('AWS::SNS::Subscription', { Protocol: 'email', Endpoint: 'ops@example.org' });
  });

  test('may be published by alarms and by events', () => {
    const { PolicyDocument } = propertiesOf<{
      PolicyDocument: { Statement: { Effect: string; Principal: { Service: string } }[] };
    }>(migration, 'AWS::SNS::TopicPolicy');
    const services = PolicyDocument.Statement.filter(({ Effect }) => Effect === 'Allow').map(
      ({ Principal }) => Principal.Service,
    );
    expect(services.sort()).toEqual(['cloudwatch.amazonaws.com', 'events.amazonaws.com']);
  });

  test('tell of a host that fails its checks, or is silent', () => {
    migration.hasResourceProperties('AWS::CloudWatch::Alarm', {
      AlarmName: 'shop-migration-HostStatus',
      MetricName: 'StatusCheckFailed',
      Dimensions: [{ Name: 'InstanceId', Value: { Ref: Match.stringLikeRegexp('^HostInstance') } }],
      TreatMissingData: 'breaching',
      AlarmActions: [{ Ref: Match.stringLikeRegexp('^NoticesTopic') }],
      OKActions: [{ Ref: Match.stringLikeRegexp('^NoticesTopic') }],
    });
  });

  test('tell of every runbook that did not succeed', () => {
    migration.hasResourceProperties('AWS::Events::Rule', {
      EventPattern: {
        detail: {
          Definition: Match.arrayWith(['shop-migration-cutover', 'shop-migration-migrate']),
          Status: ['Failed', 'TimedOut', 'Cancelled'],
        },
      },
      Targets: [Match.objectLike({ Arn: { Ref: Match.stringLikeRegexp('^NoticesTopic') } })],
    });
  });

  test('approvers of the settings are the default of migrate; otherwise it asks', () => {
    const approvers = ['arn:aws:iam::123456789012:role/ops'];
    const { migration: other } = templatesOf({ ...leastSettings, notifications: { approvers } });
    const of = (template: Template): unknown =>
      propertiesOf<{ Content: { parameters: { Approvers: { default?: unknown } } } }>(
        template,
        'AWS::SSM::Document',
        /^RunbooksMigrate/,
      ).Content.parameters.Approvers.default;
    expect(of(other)).toEqual(approvers);
    expect(of(migration)).toBeUndefined();
  });
});

test('outputs say what to do: fill the secret, start the migration, open a shell', () => {
  expect(outputs(migration)).toMatchObject({
    SourceSecretToFill: expect.stringMatching(
      /^aws secretsmanager put-secret-value .* --secret-string file:/,
    ) as string,
    StartMigration: expect.stringContaining(
      'automation/execute/shop-migration-migrate?region=${AWS::Region}',
    ) as string,
    SessionCommand: expect.stringMatching(/^aws ssm start-session .*--target \$\{HostInstance/) as string,
  });
});

test('each stack is protected, as long as the settings say so', () => {
  const { target, migration: stack } = stacksOf(leastSettings);
  expect([target.terminationProtection, stack.terminationProtection]).toEqual([true, true]);
  const open = stacksOf({
    ...leastSettings,
    target: { deletionProtection: false },
    host: { terminationProtection: false },
  });
  expect([open.target.terminationProtection, open.migration.terminationProtection]).toEqual([false, false]);
});

test('the target does not know the migration: without it, its template is the same', () => {
  const { target } = templatesOf({
    ...leastSettings,
    host: { instanceType: 'm6i.8xlarge' },
    agent: { dump: { jobs: 2 } },
  });
  expect(target.toJSON()).toEqual(templatesOf(leastSettings).target.toJSON());
});
