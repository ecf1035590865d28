import { Aws, CfnOutput, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Secret, type ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct } from 'constructs';
import { agentConfiguration } from './agent-configuration';
import { Artifacts } from './artifacts';
import { automationRole } from './automation-role';
import { collectDocument } from './collect-document';
import { customerKey } from './customer-key';
import { Host } from './host';
import { hostRole } from './host-role';
import { Installation } from './installation';
import { jobDocument } from './job-document';
import { Monitoring } from './monitoring';
import { Notices } from './notices';
import { ConsoleAccess } from './pooler/console-access';
import { Profiles } from './profiles';
import { Runbooks } from './runbooks';
import type { ResolvedSettings } from './settings';
import { allowSwitches } from './switch-access';
import type { TargetStack } from './target-stack';

export interface MigrationStackProps extends StackProps {
  readonly settings: ResolvedSettings;
  readonly target: TargetStack;
}

/** What goes after the migration: host, runbooks, monitoring. It can be destroyed without touching the target. */
export class MigrationStack extends Stack {
  constructor(scope: Construct, id: string, { settings, target, ...props }: MigrationStackProps) {
    super(scope, id, { ...props, terminationProtection: settings.host.terminationProtection });
    const prefix = this.stackName;
    const { database, network } = target;

    const key = customerKey(this, 'Key', 'Ibex migration: data volume, secrets, artifacts');
    const sourceSecret = this.loginSecret('SourceSecret', 'the source', settings.source.secretArn, key);
    const { fork } = settings.source;
    const forkSecret = fork && this.loginSecret('ForkSecret', 'the fork that is dumped', fork.secretArn, key);
    const logGroup = new LogGroup(this, 'CommandOutput', {
      // Where Systems Manager puts the output of our Command document.
      logGroupName: `/aws/ssm/${prefix}-job`,
      retention: RetentionDays.THREE_MONTHS,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const migratorSecret = this.migratorSecret(key);
    const role = hostRole(this, 'HostRole', {
      secretArns: [
        sourceSecret.secretArn,
        ...(forkSecret ? [forkSecret.secretArn] : []),
        migratorSecret.secretArn,
        database.resource.secret.secretArn,
        ...Object.values(settings.agent.applicationLogins),
        ...(target.pooler ? [target.pooler.consoleSecret.secretArn] : []),
      ],
      logGroup,
      documentPrefix: prefix,
      database,
    });
    const { switches, readersFirst } = settings.agent.cutover;
    allowSwitches(role, [...switches, ...readersFirst.switches]);
    const host = new Host(this, 'Host', { network, database, role, key, settings });
    if (target.pooler) {
      new ConsoleAccess(this, 'PoolerConsole', { pooler: target.pooler, securityGroup: host.securityGroup, role });
    }
    const installation = new Installation(this, 'Installation', {
      documentName: `${prefix}-install`,
      instance: host.instance,
      configuration: agentConfiguration({
        settings,
        database,
        endpoint: target.endpoint,
        sourceSecret,
        forkSecret,
        migratorSecret,
        pooler: target.pooler,
        alarmPrefixes: [`${prefix}-`, `${target.stackName}-`],
      }),
      after: host.ready,
    });
    const profiles = new Profiles(this, 'Profiles', {
      documentName: `${prefix}-profile`,
      instance: host.instance,
      database,
      after: host.ready,
    });

    const artifacts = new Artifacts(this, 'Artifacts', { key, settings: settings.artifacts });
    artifacts.grantAdd(role);
    collectDocument(this, 'Collect', `${prefix}-collect`, artifacts.bucket);
    const job = jobDocument(this, 'Job', `${prefix}-job`);
    const { topic } = new Notices(this, 'Notices', { name: prefix, emails: settings.notifications.emails });
    const runbookRole = automationRole(this, 'AutomationRole', {
      instance: host.instance,
      commandDocuments: [job.name, profiles.document.name],
      documentPrefix: prefix,
      topic,
      database: database.resource,
    });
    const { approvers, thresholds } = settings.notifications;
    const runbooks = new Runbooks(this, 'Runbooks', {
      prefix,
      defaults: {
        AutomationAssumeRole: runbookRole.roleArn,
        InstanceId: host.instance.instanceId,
        CommandDocument: job.name,
        ProfileDocument: profiles.document.name,
        CopyMethod: settings.agent.copy.method,
        ApprovalTopicArn: topic.topicArn,
        RequiredApprovals: Math.max(1, settings.agent.ready.approvals),
        Snapshot: settings.agent.ready.snapshot ? 'yes' : 'no',
        SnapshotKind: database.resource.clusterId === undefined ? 'instance' : 'cluster',
        SnapshotOf: database.resource.clusterId ?? database.resource.instanceIds[0],
        ...(approvers.length > 0 && { Approvers: approvers }),
      },
    });
    const monitoring = new Monitoring(this, 'Monitoring', {
      instance: host.instance,
      runbooks: Object.values(runbooks.names),
      topic,
      thresholds,
    });
    // The host publishes nothing until then, and would be missed.
    monitoring.node.addDependency(installation);
    this.outputs(host, { sourceSecret, forkSecret }, runbooks, profiles);
  }

  /** A server's login: the secret that settings name, or an empty one to be filled by hand. */
  private loginSecret(id: string, server: string, secretArn: string | undefined, encryptionKey: IKey): ISecret {
    if (secretArn !== undefined) return Secret.fromSecretCompleteArn(this, id, secretArn);
    return new Secret(this, id, {
      // A random text, which is no JSON: the first runbook that needs it says that it is not filled.
      description: `Login of ${server}: {"username", "password", "host", "port", "dbname"}`,
      encryptionKey,
      removalPolicy: RemovalPolicy.DESTROY,
    });
  }

  /** Our login on the target: RDS rotates the master's every seven days, in the midst of a migration; this one stays. */
  private migratorSecret(encryptionKey: IKey): ISecret {
    return new Secret(this, 'MigratorSecret', {
      description: 'Login that the host program makes on the target, and works with',
      generateSecretString: {
        secretStringTemplate: JSON.stringify({ username: 'ibex_migrator' }),
        generateStringKey: 'password',
        passwordLength: 40,
        excludePunctuation: true,
      },
      encryptionKey,
      removalPolicy: RemovalPolicy.DESTROY,
    });
  }

  private outputs(
    host: Host,
    { sourceSecret, forkSecret }: { readonly sourceSecret: ISecret; readonly forkSecret: ISecret | undefined },
    runbooks: Runbooks,
    profiles: Profiles,
  ): void {
    const fill = (secret: ISecret, file: string): string =>
      `aws secretsmanager put-secret-value --region ${Aws.REGION} --secret-id ${secret.secretArn} --secret-string file://${file}`;
    new CfnOutput(this, 'SourceSecretToFill', {
      description: 'First: put the login of the source into a file (mode 0600), run this, delete the file',
      value: fill(sourceSecret, 'source.json'),
    });
    if (forkSecret) {
      new CfnOutput(this, 'ForkSecretToFill', {
        description: 'After capture, when the fork has been taken: the same with the login of the fork',
        value: fill(forkSecret, 'fork.json'),
      });
    }
    new CfnOutput(this, 'StartMigration', {
      description: 'Then: start the runbook of the whole migration, here in the console',
      value: `https://${Aws.REGION}.console.aws.amazon.com/systems-manager/automation/execute/${runbooks.names['migrate']}?region=${Aws.REGION}`,
    });
    new CfnOutput(this, 'ServeProfile', {
      description: 'Only for a cutover without the runbook of the whole: tunes the target for the applications',
      value: `aws ssm send-command --region ${Aws.REGION} --instance-ids ${host.instance.instanceId} --document-name ${profiles.document.name} --parameters Profile=serve`,
    });
    new CfnOutput(this, 'SessionCommand', {
      description: 'A shell on the host',
      value: `aws ssm start-session --region ${Aws.REGION} --target ${host.instance.instanceId}`,
    });
  }
}
