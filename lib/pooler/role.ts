import { Stack } from 'aws-cdk-lib';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import { allowSystemsManager, type SystemsManagerAgentProps } from '../systems-manager-agent';

/** Namespace of the metrics that assets/pooler/pooler.sh publishes. */
export const POOLER_NAMESPACE = 'Ibex/Pooler';

export interface PoolerRoleProps extends SystemsManagerAgentProps {
  /** ARNs of the secrets of logins, console and certificate. */
  readonly secretArns: readonly string[];
  /** ARNs of the SSM parameters with configuration and side. */
  readonly parameterArns: readonly string[];
  /** ARN of the object with the programs. */
  readonly packageArn: string;
}

/** What the pooler's instances may do: read what they are told, tell their metrics, and nothing else. */
export function poolerRole(scope: Construct, id: string, props: PoolerRoleProps): Role {
  const stack = Stack.of(scope);
  const role = new Role(scope, id, {
    description: 'Ibex: the pooler',
    assumedBy: new ServicePrincipal('ec2.amazonaws.com'),
  });
  allowSystemsManager(role, props);
  const secrets = [...props.secretArns];
  const allow = (sid: string, action: string, resources: readonly string[]): void => {
    role.addToPolicy(new PolicyStatement({ sid, actions: [action], resources: [...resources] }));
  };
  allow('Secrets', 'secretsmanager:GetSecretValue', secrets);
  allow('Parameters', 'ssm:GetParameter', props.parameterArns);
  allow('Package', 's3:GetObject', [props.packageArn]);
  // AWS knows no resource for metrics, but a namespace.
  role.addToPolicy(
    new PolicyStatement({
      sid: 'PoolerMetrics',
      actions: ['cloudwatch:PutMetricData'],
      resources: ['*'],
      conditions: { StringEquals: { 'cloudwatch:namespace': POOLER_NAMESPACE } },
    }),
  );
  role.addToPolicy(
    new PolicyStatement({
      sid: 'SecretKeys',
      actions: ['kms:Decrypt'],
      // Whatever key a secret was made with, but only to open these secrets, through Secrets Manager.
      resources: [stack.formatArn({ service: 'kms', resource: 'key', resourceName: '*' })],
      conditions: {
        StringEquals: {
          'kms:ViaService': `secretsmanager.${stack.region}.${stack.urlSuffix}`,
          'kms:EncryptionContext:SecretARN': secrets,
        },
      },
    }),
  );
  return role;
}
