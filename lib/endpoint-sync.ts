import { join } from 'node:path';
import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import { Metric } from 'aws-cdk-lib/aws-cloudwatch';
import type { NetworkTargetGroup } from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { Rule, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { Code, Function as LambdaFn, Runtime } from 'aws-cdk-lib/aws-lambda';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { METRIC_NAMESPACE, TARGETS_METRIC } from '../assets/endpoint-sync/metrics';
import { bundle, withBuildDirectory } from './bundle';
import { Database } from './database';

export interface EndpointSyncProps {
  readonly targetGroup: NetworkTargetGroup;
  /** Target group of the readers. @default none */
  readonly readerTargetGroup?: NetworkTargetGroup;
  readonly database: Database;
}

/** Keeps the target groups on the servers' present roles and addresses: each minute, and at every event of the database. */
export class EndpointSync extends Construct {
  readonly handler: LambdaFn;
  /** Addresses in the writer's group as each run left it; each minute one value, or none when the run failed. */
  readonly writerTargets: Metric;

  constructor(scope: Construct, id: string, { targetGroup, readerTargetGroup, database }: EndpointSyncProps) {
    super(scope, id);
    const groups = [targetGroup, ...(readerTargetGroup ? [readerTargetGroup] : [])];
    const { resource } = database;
    this.handler = withBuildDirectory('endpoint-sync', (directory) => {
      bundle({ entry: 'assets/endpoint-sync/handler.ts', outFile: join(directory, 'index.js'), target: 'node22' });
      return new LambdaFn(this, 'Function', {
        description: "Keeps the load balancer's target groups on the database's servers",
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
          WRITER: resource.writerAddress,
          PORT: String(Database.PORT),
          ...(readerTargetGroup && {
            READER_TARGET_GROUP_ARN: readerTargetGroup.targetGroupArn,
            INSTANCES: resource.instanceAddresses.join(','),
          }),
        },
      });
    });
    this.handler.addToRolePolicy(
      new PolicyStatement({
        actions: ['elasticloadbalancing:RegisterTargets', 'elasticloadbalancing:DeregisterTargets'],
        resources: groups.map((group) => group.targetGroupArn),
      }),
    );
    this.handler.addToRolePolicy(
      // AWS knows no resource for this one.
      new PolicyStatement({ actions: ['elasticloadbalancing:DescribeTargetHealth'], resources: ['*'] }),
    );
    this.writerTargets = new Metric({
      namespace: METRIC_NAMESPACE,
      metricName: TARGETS_METRIC,
      dimensionsMap: { Function: this.handler.functionName, Role: 'writer' },
      statistic: 'Minimum',
      period: Duration.minutes(1),
    });
    const target = new LambdaFunction(this.handler, { retryAttempts: 2 });
    new Rule(this, 'EachMinute', { schedule: Schedule.rate(Duration.minutes(1)), targets: [target] });
    new Rule(this, 'Failover', {
      description: 'Failover and failure of the target database',
      eventPattern: {
        source: ['aws.rds'],
        detailType: [resource.eventType],
        resources: [resource.arn],
      },
      targets: [target],
    });
  }
}
