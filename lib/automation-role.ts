import { ArnFormat, Stack } from 'aws-cdk-lib';
import type { Instance } from 'aws-cdk-lib/aws-ec2';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { ITopic } from 'aws-cdk-lib/aws-sns';
import type { Construct } from 'constructs';
import type { DatabaseResource } from './database';

export interface AutomationRoleProps {
  readonly instance: Instance;
  /** Names of the only Command documents that runbooks send. */
  readonly commandDocuments: readonly string[];
  /** Begins the names of the runbooks that `migrate` starts. */
  readonly documentPrefix: string;
  /** Where approvals are asked for. */
  readonly topic: ITopic;
  /** The target, of which a snapshot is taken before the cutover. */
  readonly database: DatabaseResource;
}

/**
 * What a runbook may do: send our commands to our one host, start our runbooks, ask for approvals. Without a service
 * role an execution ends after 12 hours.
 */
export function automationRole(scope: Construct, id: string, props: AutomationRoleProps): Role {
  const stack = Stack.of(scope);
  const arn = (service: string, resource: string, resourceName: string, arnFormat = ArnFormat.SLASH_RESOURCE_NAME) =>
    stack.formatArn({ service, resource, resourceName, arnFormat });
  const role = new Role(scope, id, {
    description: 'Ibex: the runbooks',
    assumedBy: new ServicePrincipal('ssm.amazonaws.com', {
      conditions: {
        StringEquals: { 'aws:SourceAccount': stack.account },
        ArnLike: { 'aws:SourceArn': arn('ssm', 'automation-execution', '*') },
      },
    }),
  });
  const allow = (sid: string, actions: string[], resources: string[], conditions?: Record<string, unknown>) =>
    role.addToPolicy(new PolicyStatement({ sid, actions, resources, ...(conditions && { conditions }) }));

  allow(
    'SendTheCommands',
    ['ssm:SendCommand'],
    [
      ...props.commandDocuments.map((name) => arn('ssm', 'document', name)),
      arn('ec2', 'instance', props.instance.instanceId),
    ],
  );
  // AWS knows no resource for these.
  allow(
    'FollowCommands',
    [
      'ssm:ListCommands',
      'ssm:ListCommandInvocations',
      'ssm:GetCommandInvocation',
      'ssm:CancelCommand',
      'ssm:DescribeInstanceInformation',
    ],
    ['*'],
  );
  allow(
    'StartRunbooks',
    ['ssm:StartAutomationExecution'],
    [arn('ssm', 'automation-definition', `${props.documentPrefix}-*:*`)],
  );
  allow(
    'FollowRunbooks',
    ['ssm:GetAutomationExecution', 'ssm:StopAutomationExecution'],
    [arn('ssm', 'automation-execution', '*')],
  );
  // A child runbook runs under the same role.
  allow('PassItself', ['iam:PassRole'], [role.roleArn], {
    StringEquals: { 'iam:PassedToService': 'ssm.amazonaws.com' },
  });
  allow('AskForApproval', ['sns:Publish'], [props.topic.topicArn]);
  const { clusterId, instanceIds } = props.database;
  const rds = (kind: string, name: string): string => arn('rds', kind, name, ArnFormat.COLON_RESOURCE_NAME);
  allow(
    'TakeSnapshot',
    clusterId === undefined
      ? ['rds:CreateDBSnapshot', 'rds:DescribeDBSnapshots', 'rds:AddTagsToResource']
      : ['rds:CreateDBClusterSnapshot', 'rds:DescribeDBClusterSnapshots', 'rds:AddTagsToResource'],
    clusterId === undefined
      ? [...instanceIds.map((id) => rds('db', id)), rds('snapshot', 'ibex-*')]
      : [rds('cluster', clusterId), rds('cluster-snapshot', 'ibex-*')],
  );
  return role;
}
