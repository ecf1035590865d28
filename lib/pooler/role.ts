import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import { allowMetrics, allowSecrets } from '../instance-role';
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
  const role = new Role(scope, id, {
    description: 'Ibex: the pooler',
    assumedBy: new ServicePrincipal('ec2.amazonaws.com'),
  });
  allowSystemsManager(role, props);
  allowSecrets(role, props.secretArns);
  role.addToPolicy(
    new PolicyStatement({ sid: 'Parameters', actions: ['ssm:GetParameter'], resources: [...props.parameterArns] }),
  );
  role.addToPolicy(new PolicyStatement({ sid: 'Package', actions: ['s3:GetObject'], resources: [props.packageArn] }));
  allowMetrics(role, 'PoolerMetrics', POOLER_NAMESPACE);
  return role;
}
