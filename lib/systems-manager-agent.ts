import { Stack } from 'aws-cdk-lib';
import { PolicyStatement, type Role } from 'aws-cdk-lib/aws-iam';
import type { ILogGroup } from 'aws-cdk-lib/aws-logs';

export interface SystemsManagerAgentProps {
  /** Begins the names of the documents that the agent may fetch. */
  readonly documentPrefix: string;
  /** Where the output of commands goes. */
  readonly logGroup: ILogGroup;
}

/** Lets an instance be managed by Systems Manager, and write the output of its commands. */
export function allowSystemsManager(role: Role, { documentPrefix, logGroup }: SystemsManagerAgentProps): void {
  allowAgentCalls(role, documentPrefix);
  allowCommandOutput(role, logGroup);
}

/**
 * The calls of the agent. The managed policy AmazonSSMManagedInstanceCore would also let it read every SSM parameter of
 * the account, so they are listed here.
 */
export function allowAgentCalls(role: Role, documentPrefix: string): void {
  const stack = Stack.of(role);
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
        stack.formatArn({ service: 'ssm', resource: 'document', resourceName: `${documentPrefix}-*` }),
        stack.formatArn({ service: 'ssm', resource: 'association', resourceName: '*' }),
        stack.formatArn({ service: 'ec2', resource: 'instance', resourceName: '*' }),
      ],
    }),
  );
}

/** Lets the agent write what commands print. */
export function allowCommandOutput(role: Role, logGroup: ILogGroup): void {
  role.addToPolicy(
    new PolicyStatement({
      sid: 'CommandOutput',
      actions: ['logs:CreateLogStream', 'logs:DescribeLogStreams', 'logs:PutLogEvents'],
      resources: [logGroup.logGroupArn],
    }),
  );
  // The agent asks which groups exist before it writes; AWS knows no resource for that.
  role.addToPolicy(new PolicyStatement({ sid: 'LogGroups', actions: ['logs:DescribeLogGroups'], resources: ['*'] }));
}
