import { Duration, Stack } from 'aws-cdk-lib';
import { Alarm, ComparisonOperator, Metric, TreatMissingData, type IMetric } from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import type { Instance } from 'aws-cdk-lib/aws-ec2';
import { Rule, RuleTargetInput, EventField } from 'aws-cdk-lib/aws-events';
import { SnsTopic } from 'aws-cdk-lib/aws-events-targets';
import type { ITopic } from 'aws-cdk-lib/aws-sns';
import { Construct } from 'constructs';

export interface MonitoringProps {
  readonly instance: Instance;
  /** Names of the Automation documents whose failures are told. */
  readonly runbooks: readonly string[];
  readonly topic: ITopic;
}

/** When people are disturbed: `high` is for now, `low` for the next working day. */
export type Severity = 'high' | 'low';

/** One alarm: what is measured, from where on it is wrong, and which article of docs/alarms.md says what to do. */
export interface AlarmSpec {
  readonly name: string;
  readonly severity: Severity;
  readonly metric: IMetric;
  readonly threshold: number;
  readonly evaluationPeriods: number;
  readonly missing: TreatMissingData;
  readonly what: string;
}

/** Alarms about the host, and notices of runbooks that did not succeed. */
export class Monitoring extends Construct {
  private readonly topic: ITopic;

  constructor(scope: Construct, id: string, { instance, runbooks, topic }: MonitoringProps) {
    super(scope, id);
    this.topic = topic;
    this.alarm({
      name: 'HostStatus',
      severity: 'high',
      metric: new Metric({
        namespace: 'AWS/EC2',
        metricName: 'StatusCheckFailed',
        dimensionsMap: { InstanceId: instance.instanceId },
        statistic: 'Maximum',
        period: Duration.minutes(1),
      }),
      // One failed check can be a hiccup; sync stands still after three.
      threshold: 1,
      evaluationPeriods: 3,
      // A host that is stopped reports nothing.
      missing: TreatMissingData.BREACHING,
      what: 'The Bucardo host fails its status checks, or is stopped; changes pile up on the source.',
    });
    new Rule(this, 'RunbookFailed', {
      description: 'Runbooks of the migration that did not succeed',
      eventPattern: {
        source: ['aws.ssm'],
        detailType: ['EC2 Automation Execution Status-change Notification'],
        detail: { Definition: [...runbooks], Status: ['Failed', 'TimedOut', 'Cancelled'] },
      },
      targets: [
        new SnsTopic(topic, {
          message: RuleTargetInput.fromText(
            `Ibex: runbook ${EventField.fromPath('$.detail.Definition')} ended as ${EventField.fromPath('$.detail.Status')} (execution ${EventField.fromPath('$.detail.ExecutionId')}). What to do: docs/alarms.md, RunbookFailed.`,
          ),
        }),
      ],
    });
  }

  /** Adds one alarm that tells the topic when it starts and when it is over. */
  alarm(spec: AlarmSpec): Alarm {
    const alarm = new Alarm(this, spec.name, {
      alarmName: `${Stack.of(this).stackName}-${spec.name}`,
      alarmDescription: `[${spec.severity}] ${spec.what} What to do: docs/alarms.md, ${spec.name}.`,
      metric: spec.metric,
      comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      threshold: spec.threshold,
      evaluationPeriods: spec.evaluationPeriods,
      treatMissingData: spec.missing,
    });
    alarm.addAlarmAction(new SnsAction(this.topic));
    alarm.addOkAction(new SnsAction(this.topic));
    return alarm;
  }
}
