import { RemovalPolicy, Stack } from 'aws-cdk-lib';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { AwsCustomResource, AwsCustomResourcePolicy, PhysicalResourceId } from 'aws-cdk-lib/custom-resources';
import { Construct } from 'constructs';

/** The sides that a pooler can be on. */
export type PoolerSideName = 'source' | 'target';

/**
 * Where it is kept which side is current, outside the machines that read it at their start. Written once, when the stack
 * is made: a parameter of CloudFormation's own would be put back to its first value by a later deployment that touches
 * it, and the next restart of a pooler would show the applications the old database.
 */
export class SideParameter extends Construct {
  readonly parameterName: string;
  readonly parameterArn: string;

  constructor(scope: Construct, id: string, parameterName: string, first: PoolerSideName) {
    super(scope, id);
    this.parameterName = parameterName;
    this.parameterArn = Stack.of(this).formatArn({
      service: 'ssm',
      resource: 'parameter',
      resourceName: parameterName.replace(/^\//, ''),
    });
    new AwsCustomResource(this, 'Parameter', {
      resourceType: 'Custom::PoolerSide',
      installLatestAwsSdk: false,
      onCreate: {
        service: 'SSM',
        action: 'PutParameter',
        parameters: {
          Name: parameterName,
          Value: first,
          Type: 'String',
          AllowedPattern: '^(source|target)$',
          Description: 'Ibex: the database that the poolers lead to after a restart',
          Overwrite: false,
        },
        physicalResourceId: PhysicalResourceId.of(parameterName),
        outputPaths: ['Version'],
      },
      onDelete: {
        service: 'SSM',
        action: 'DeleteParameter',
        parameters: { Name: parameterName },
        ignoreErrorCodesMatching: 'ParameterNotFound',
      },
      policy: AwsCustomResourcePolicy.fromStatements([
        new PolicyStatement({
          actions: ['ssm:PutParameter', 'ssm:DeleteParameter'],
          resources: [this.parameterArn],
        }),
      ]),
      logGroup: new LogGroup(this, 'Logs', {
        retention: RetentionDays.ONE_MONTH,
        removalPolicy: RemovalPolicy.DESTROY,
      }),
    });
  }
}
