import { Stack } from 'aws-cdk-lib';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { ILogGroup } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';

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

/**
 * What the host may do. The managed policy AmazonSSMManagedInstanceCore would also let it read every SSM parameter of
 * the account, so the agent's calls are listed here.
 */
export function hostRole(scope: Construct, id: string, props: HostRoleProps): Role {
  const stack = Stack.of(scope);
  const role = new Role(scope, id, {
    description: 'Ibex: the Bucardo host',
    assumedBy: new ServicePrincipal('ec2.amazonaws.com'),
  });
  role.addToPolicy(
    new PolicyStatement({
      sid: 'SystemsManagerAgent',
      actions: [
        'ssm:UpdateInstanceInformation',
        'ssm:ListAssociations',
        'ssm:ListInstanceAssociations',
        'ssm:UpdateAssociationStatus',
        'ssm:UpdateInstanceAssociationStatus',
        'ssm:PutComplianceItems',
        'ssm:PutInventory',
        'ssmmessages:CreateControlChannel',
        'ssmmessages:CreateDataChannel',
        'ssmmessages:OpenControlChannel',
        'ssmmessages:OpenDataChannel',
        'ec2messages:AcknowledgeMessage',
        'ec2messages:DeleteMessage',
        'ec2messages:FailMessage',
        'ec2messages:GetEndpoint',
        'ec2messages:GetMessages',
        'ec2messages:SendReply',
      ],
      // AWS knows no narrower resource for the agent's own channels.
      resources: ['*'],
    }),
  );
  role.addToPolicy(
    new PolicyStatement({
      sid: 'OwnDocuments',
      actions: ['ssm:DescribeAssociation', 'ssm:DescribeDocument', 'ssm:GetDocument'],
      resources: [
        stack.formatArn({ service: 'ssm', resource: 'document', resourceName: `${props.documentPrefix}-*` }),
        stack.formatArn({ service: 'ssm', resource: 'association', resourceName: '*' }),
        stack.formatArn({ service: 'ec2', resource: 'instance', resourceName: '*' }),
      ],
    }),
  );
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
  role.addToPolicy(
    new PolicyStatement({
      sid: 'CommandOutput',
      actions: ['logs:CreateLogStream', 'logs:DescribeLogStreams', 'logs:PutLogEvents'],
      resources: [props.logGroup.logGroupArn],
    }),
  );
  // The agent asks which groups exist before it writes; AWS knows no resource for that.
  role.addToPolicy(new PolicyStatement({ sid: 'LogGroups', actions: ['logs:DescribeLogGroups'], resources: ['*'] }));
  return role;
}
