import { join } from 'node:path';
import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import type { NetworkTargetGroup } from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { Rule, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { Code, Function as LambdaFn, Runtime } from 'aws-cdk-lib/aws-lambda';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { bundle, withBuildDirectory } from './bundle';
import { Database } from './database';

export interface EndpointSyncProps {
  readonly targetGroup: NetworkTargetGroup;
  readonly database: Database;
}

/** Keeps the target group on the writer's present address: each minute, and at every event of the cluster. */
export class EndpointSync extends Construct {
  readonly handler: LambdaFn;

  constructor(scope: Construct, id: string, { targetGroup, database }: EndpointSyncProps) {
    super(scope, id);
    this.handler = withBuildDirectory('endpoint-sync', (directory) => {
      bundle({ entry: 'assets/endpoint-sync/handler.ts', outFile: join(directory, 'index.js'), target: 'node22' });
      return new LambdaFn(this, 'Function', {
        description: "Keeps the load balancer's target group on the database's writer",
        runtime: Runtime.NODEJS_22_X,
        handler: 'index.handler',
        code: Code.fromAsset(directory),
        memorySize: 256,
        timeout: Duration.seconds(30),
        logGroup: new LogGroup(this, 'Logs', {
          retention: RetentionDays.ONE_MONTH,
          removalPolicy: RemovalPolicy.DESTROY,
        }),
        environment: {
          TARGET_GROUP_ARN: targetGroup.targetGroupArn,
          WRITER: database.resource.writerAddress,
          PORT: String(Database.PORT),
        },
      });
    });
    this.handler.addToRolePolicy(
      new PolicyStatement({
        actions: ['elasticloadbalancing:RegisterTargets', 'elasticloadbalancing:DeregisterTargets'],
        resources: [targetGroup.targetGroupArn],
      }),
    );
    this.handler.addToRolePolicy(
      // AWS knows no resource for this one.
      new PolicyStatement({ actions: ['elasticloadbalancing:DescribeTargetHealth'], resources: ['*'] }),
    );
    const target = new LambdaFunction(this.handler, { retryAttempts: 2 });
    new Rule(this, 'EachMinute', { schedule: Schedule.rate(Duration.minutes(1)), targets: [target] });
    new Rule(this, 'Failover', {
      description: 'Failover and failure of the target cluster',
      eventPattern: {
        source: ['aws.rds'],
        detailType: [database.resource.eventType],
        resources: [database.resource.arn],
      },
      targets: [target],
    });
  }
}
