import { ArnFormat, Stack } from 'aws-cdk-lib';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { ILogGroup } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import type { Database } from './database';
import { allowMetrics, allowSecrets } from './instance-role';
import { allowAgentCalls, allowCommandOutput } from './systems-manager-agent';

/** Namespace of the metrics that assets/host/metrics.sh publishes. */
export const HOST_NAMESPACE = 'Ibex/Host';

export interface HostRoleProps {
  /** ARNs of the secrets that the program reads. */
  readonly secretArns: readonly string[];
  /** Where the output of commands goes. */
  readonly logGroup: ILogGroup;
  /** Begins the names of the documents that the agent may fetch. */
  readonly documentPrefix: string;
  /** The target, of which the gates before the cutover ask. */
  readonly database: Database;
}

/** What the host may do. */
export function hostRole(scope: Construct, id: string, props: HostRoleProps): Role {
  const role = new Role(scope, id, {
    description: 'Ibex: the Bucardo host',
    assumedBy: new ServicePrincipal('ec2.amazonaws.com'),
  });
  allowAgentCalls(role, props.documentPrefix);
  allowSecrets(role, props.secretArns);
  allowMetrics(role, 'HostMetrics', HOST_NAMESPACE);
  allowGates(role, props.database);
  allowCommandOutput(role, props.logGroup);
  return role;
}

/** What gates and watch ask of AWS: alarms, the health of the address, logs and snapshots. Pending restarts: see Profiles. */
function allowGates(role: Role, { resource }: Database): void {
  const stack = Stack.of(role);
  const arn = (kind: string, resourceName: string): string =>
    stack.formatArn({ service: 'rds', resource: kind, resourceName, arnFormat: ArnFormat.COLON_RESOURCE_NAME });
  const { clusterId, instanceIds } = resource;
  // Of all alarms or of none: a list is asked for by the beginning of the names.
  role.addToPolicy(new PolicyStatement({ sid: 'Alarms', actions: ['cloudwatch:DescribeAlarms'], resources: ['*'] }));
  // AWS knows no resource for it.
  const health = ['elasticloadbalancing:DescribeTargetHealth'];
  role.addToPolicy(new PolicyStatement({ sid: 'AddressHealth', actions: health, resources: ['*'] }));
  role.addToPolicy(
    new PolicyStatement({
      sid: 'DatabaseLogs',
      actions: ['rds:DescribeDBLogFiles', 'rds:DownloadDBLogFilePortion'],
      resources: instanceIds.map((id) => arn('db', id)),
    }),
  );
  role.addToPolicy(
    new PolicyStatement({
      sid: 'Snapshots',
      actions: [clusterId === undefined ? 'rds:DescribeDBSnapshots' : 'rds:DescribeDBClusterSnapshots'],
      resources:
        clusterId === undefined
          ? [...instanceIds.map((id) => arn('db', id)), arn('snapshot', '*')]
          : [arn('cluster', clusterId), arn('cluster-snapshot', '*')],
    }),
  );
}
