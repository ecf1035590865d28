import { paginateDescribeAlarms } from '@aws-sdk/client-cloudwatch';
import type { AwsAccount } from './aws-account';

/** An alarm that is raised. */
export interface RaisedAlarm {
  readonly name: string;
  readonly since: Date | undefined;
  readonly reason: string | undefined;
}

/** Every raised alarm, metric or composite, whose name begins as the configuration says. */
export async function raisedAlarms(aws: Pick<AwsAccount, 'cloudWatch' | 'alarmPrefixes'>): Promise<RaisedAlarm[]> {
  const found: RaisedAlarm[] = [];
  for (const AlarmNamePrefix of aws.alarmPrefixes) {
    for await (const page of paginateDescribeAlarms(
      { client: aws.cloudWatch },
      { AlarmNamePrefix, StateValue: 'ALARM' },
    ))
      // prettier-ignore
      for (const alarm of [...(page.MetricAlarms ?? []), ...(page.CompositeAlarms ?? [])])
        found.push({ name: alarm.AlarmName ?? '', since: alarm.StateUpdatedTimestamp, reason: alarm.StateReason });
  }
  return found;
}
