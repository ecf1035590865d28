import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ArnFormat, Aws, Stack } from 'aws-cdk-lib';
import type { Instance } from 'aws-cdk-lib/aws-ec2';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { CfnAssociation } from 'aws-cdk-lib/aws-ssm';
import { Construct, type IDependable } from 'constructs';
import { ROOT } from './bundle';
import { CommandDocument } from './command-document';
import type { Database } from './database';
import { profileParameters, templateParameters, type ParameterLevel, type Profile } from './database-parameters';

export interface ProfilesProps {
  /** Name of the document. */
  readonly documentName: string;
  readonly instance: Instance;
  readonly database: Database;
  /** The host must have come this far. */
  readonly after: IDependable;
}

const PROFILES: readonly Profile[] = ['load', 'serve'];
const LEVELS: readonly ParameterLevel[] = ['cluster', 'instance'];

/**
 * The document that switches the target's parameter groups between the profiles `load` and `serve`, and an association
 * that keeps the profile in force: CloudFormation leaves a group alone as long as its values in the template stay the
 * same, but resets all of it when one of them changes. The template carries what the applications need, so a reset group
 * is never unfit for them; the association then puts back the profile in force, which is `load` at the first deployment.
 */
export class Profiles extends Construct {
  readonly document: CommandDocument;

  constructor(scope: Construct, id: string, { documentName, instance, database, after }: ProfilesProps) {
    super(scope, id);
    this.document = new CommandDocument(this, 'Document', {
      name: documentName,
      description:
        'Ibex: tunes the target for the load (`load`) or for the applications (`serve`: before cutover), in place and without a restart. `show` only tells, `keep` puts back the one in force. Safe to run at any time.',
      parameters: {
        Profile: { description: 'Which profile.', allowedValues: [...PROFILES, 'keep', 'show'] },
        Values: {
          description: 'Identifies the values; a change makes the association run again.',
          allowedPattern: '^[0-9a-f]{16}$',
          default: '0'.repeat(16),
        },
      },
      script: [...this.values(database), ...script()],
      timeoutSeconds: 300,
    });
    this.grant(instance, database);
    const association = new CfnAssociation(this, 'Association', {
      name: this.document.document.ref,
      associationName: documentName,
      targets: [{ key: 'InstanceIds', values: [instance.instanceId] }],
      parameters: { Profile: ['keep'], Values: [valuesHash(database)] },
      waitForSuccessTimeoutSeconds: 600,
    });
    association.node.addDependency(after, instance.role);
  }

  private values({ resource, engine }: Database): string[] {
    const parameters = (profile: Profile, level: ParameterLevel): string =>
      JSON.stringify(
        Object.entries(profileParameters(engine, level, profile)).map(([ParameterName, ParameterValue]) => ({
          ParameterName,
          ParameterValue,
          ApplyMethod: 'immediate',
        })),
      );
    const variables: Record<string, string> = {
      IBEX_REGION: Aws.REGION,
      IBEX_PARAMETER_GROUPS: resource.parameterGroups.map(({ level, name }) => `${level}=${name}`).join(' '),
      IBEX_CLUSTER: resource.clusterId ?? '',
      IBEX_INSTANCES: resource.instanceIds.join(' '),
    };
    for (const profile of PROFILES) {
      for (const level of LEVELS) {
        variables[`IBEX_${profile}_${level}`.toUpperCase()] = parameters(profile, level);
      }
    }
    return Object.entries(variables).map(([name, value]) => `export ${name}='${value}'`);
  }

  private grant(instance: Instance, { resource }: Database): void {
    const stack = Stack.of(this);
    const arn = (kind: string, resourceName: string): string =>
      stack.formatArn({ service: 'rds', resource: kind, resourceName, arnFormat: ArnFormat.COLON_RESOURCE_NAME });
    for (const { level, name } of resource.parameterGroups) {
      const isCluster = level === 'cluster';
      instance.role.addToPrincipalPolicy(
        new PolicyStatement({
          sid: isCluster ? 'ClusterProfile' : 'InstanceProfile',
          actions: [isCluster ? 'rds:ModifyDBClusterParameterGroup' : 'rds:ModifyDBParameterGroup'],
          resources: [arn(isCluster ? 'cluster-pg' : 'pg', name)],
        }),
      );
    }
    instance.role.addToPrincipalPolicy(
      new PolicyStatement({
        sid: 'PendingRestarts',
        actions: ['rds:DescribeDBInstances', ...(resource.clusterId === undefined ? [] : ['rds:DescribeDBClusters'])],
        resources: [
          ...resource.instanceIds.map((each) => arn('db', each)),
          ...(resource.clusterId === undefined ? [] : [arn('cluster', resource.clusterId)]),
        ],
      }),
    );
  }
}

/** The shell of Systems Manager is sh; the script says what it needs. */
function script(): string[] {
  const text = readFileSync(join(ROOT, 'assets', 'host', 'profile.sh'), 'utf8').trimEnd();
  return ["exec bash -s <<'IBEX_PROFILE_SCRIPT'", ...text.split('\n'), 'IBEX_PROFILE_SCRIPT'];
}

/** Changes with any value of template or profile, and with nothing else. */
function valuesHash({ engine }: Database): string {
  const values = LEVELS.map((level) => [
    templateParameters(engine, level),
    ...PROFILES.map((profile) => profileParameters(engine, level, profile)),
  ]);
  return createHash('sha256').update(JSON.stringify(values)).digest('hex').slice(0, 16);
}
