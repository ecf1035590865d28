import { raisedAlarms } from '../ready/alarms';
import { firstOf } from '../ready/gate';
import { bad, ok, type Check } from './finding';

/** The alarms whose names begin as those of this migration do. */
export const alarmCheck: Check = {
  name: 'alarms',
  query: 'cloudwatch:DescribeAlarms StateValue=ALARM',
  // That CloudWatch does not answer says nothing of the database.
  unasked: 'warn',
  ask: async ({ aws }) => {
    if (!aws) return ok('not asked: the target is not described as one of AWS');
    const raised = await raisedAlarms(aws);
    return raised.length === 0
      ? ok(`none of ${aws.alarmPrefixes.join('…, ')}… is raised`)
      : bad(`${raised.length} raised`, firstOf(raised.map(({ name }) => name)));
  },
};
