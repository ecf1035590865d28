import { Stack } from 'aws-cdk-lib';
import { Alarm, ComparisonOperator, TreatMissingData, type IMetric } from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import type { ITopic } from 'aws-cdk-lib/aws-sns';
import { Construct } from 'constructs';
import { ALARM_UNITS, type AlarmName } from './settings/alarm-names';

export interface AlarmsProps {
  /** Who is told. */
  readonly topic: ITopic;
  /** Thresholds of the settings, which go before those of the specifications. */
  readonly thresholds: Readonly<Partial<Record<string, number>>>;
}

/** When people are disturbed: `high` is for now, `low` for the next working day. */
export type Severity = 'high' | 'low';

/** One alarm: what is measured, from where on it is wrong, and why there. */
export interface AlarmSpec {
  /** Its article in docs/alarms.md says what to do. */
  readonly name: AlarmName;
  /** Which of several things of the same kind, such as the second server. @default there is one */
  readonly of?: string;
  readonly severity: Severity;
  readonly metric: IMetric;
  readonly threshold: number;
  /** @default 'above': at the threshold or over it */
  readonly bad?: 'above' | 'below';
  readonly evaluationPeriods: number;
  readonly missing: TreatMissingData;
  /** What has happened, as one sentence. */
  readonly what: string;
  /** Why the threshold is where it is, as one sentence. */
  readonly because: string;
}

/** Alarms that tell a topic when they start and when they are over. */
export class Alarms extends Construct {
  private readonly props: AlarmsProps;

  constructor(scope: Construct, id: string, props: AlarmsProps) {
    super(scope, id);
    this.props = props;
  }

  /** Adds one. */
  add(spec: AlarmSpec): Alarm {
    const id = `${spec.name}${spec.of ?? ''}`;
    const threshold = this.props.thresholds[spec.name] ?? spec.threshold;
    const alarm = new Alarm(this, id, {
      alarmName: `${Stack.of(this).stackName}-${id}`,
      alarmDescription: `[${spec.severity}] ${spec.what} Threshold (${ALARM_UNITS[spec.name]}): ${spec.because} What to do: docs/alarms.md, ${spec.name}.`,
      metric: spec.metric,
      comparisonOperator:
        spec.bad === 'below'
          ? ComparisonOperator.LESS_THAN_THRESHOLD
          : ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      threshold,
      evaluationPeriods: spec.evaluationPeriods,
      treatMissingData: spec.missing,
    });
    alarm.addAlarmAction(new SnsAction(this.props.topic));
    alarm.addOkAction(new SnsAction(this.props.topic));
    return alarm;
  }
}
