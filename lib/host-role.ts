import { Stack } from 'aws-cdk-lib';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { ILogGroup } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
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
}

/** What the host may do. */
export function hostRole(scope: Construct, id: string, props: HostRoleProps): Role {
  const stack = Stack.of(scope);
  const role = new Role(scope, id, {
    description: 'Ibex: the Bucardo host',
    assumedBy: new ServicePrincipal('ec2.amazonaws.com'),
  });
  allowAgentCalls(role, props.documentPrefix);
  role.addToPolicy(
    new PolicyStatement({
      sid: 'Secrets',
      actions: ['secretsmanager:GetSecretValue'],
      resources: [...props.secretArns],
    }),
  );
  // Keys of whoever made the secrets, but only to open these secrets, through Secrets Manager.
  role.addToPolicy(
    new PolicyStatement({
      sid: 'SecretKeys',
      actions: ['kms:Decrypt'],
      resources: [stack.formatArn({ service: 'kms', resource: 'key', resourceName: '*' })],
      conditions: {
        StringEquals: {
          'kms:ViaService': `secretsmanager.${stack.region}.${stack.urlSuffix}`,
          'kms:EncryptionContext:SecretARN': [...props.secretArns],
        },
      },
    }),
  );
  // AWS knows no resource for metrics, but a namespace.
  role.addToPolicy(
    new PolicyStatement({
      sid: 'HostMetrics',
      actions: ['cloudwatch:PutMetricData'],
      resources: ['*'],
      conditions: { StringEquals: { 'cloudwatch:namespace': HOST_NAMESPACE } },
    }),
  );
  allowCommandOutput(role, props.logGroup);
  return role;
}
