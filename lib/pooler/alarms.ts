import { Duration } from 'aws-cdk-lib';
import { Metric, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import type { Alarms } from '../alarms';
import type { Endpoint } from '../endpoint';
import type { Pooler } from '../pooler';
import { POOLER_NAMESPACE } from './role';

/** Alarms about the poolers: whether clients reach them, and whether their logins work on either side. */
export function poolerAlarms(alarms: Alarms, pooler: Pooler, { loadBalancer }: Endpoint): void {
  alarms.add({
    name: 'PoolerUnhealthy',
    severity: 'high',
    metric: new Metric({
      namespace: 'AWS/NetworkELB',
      metricName: 'UnHealthyHostCount',
      dimensionsMap: {
        LoadBalancer: loadBalancer.loadBalancerFullName,
        TargetGroup: pooler.targetGroup.targetGroupFullName,
      },
      statistic: 'Maximum',
      period: Duration.minutes(1),
    }),
    threshold: 1,
    evaluationPeriods: 3,
    missing: TreatMissingData.NOT_BREACHING,
    what: 'The load balancer does not reach a pooler: half of the room for clients is gone, and the cutover needs each pooler.',
    because: 'a restart of PgBouncer is over within a minute; three are a fault.',
  });
  for (const [index, { instanceId }] of pooler.instances.entries()) {
    const of = index === 0 ? {} : { of: `Instance${index + 1}` };
    alarms.add({
      ...of,
      name: 'PoolerStatus',
      severity: 'high',
      metric: new Metric({
        namespace: 'AWS/EC2',
        metricName: 'StatusCheckFailed',
        dimensionsMap: { InstanceId: instanceId },
        statistic: 'Maximum',
        period: Duration.minutes(1),
      }),
      threshold: 1,
      evaluationPeriods: 3,
      // An instance that is stopped reports nothing.
      missing: TreatMissingData.BREACHING,
      what: 'An instance of the pooler fails its status checks, or is stopped.',
      because: 'one failed check can be a hiccup; EC2 itself recovers an instance after two.',
    });
    const failedLogins = (Side: 'serving' | 'other'): Metric =>
      new Metric({
        namespace: POOLER_NAMESPACE,
        metricName: 'FailedLogins',
        dimensionsMap: { InstanceId: instanceId, Side },
        statistic: 'Maximum',
        period: Duration.minutes(5),
      });
    alarms.add({
      ...of,
      name: 'PoolerLogins',
      severity: 'high',
      metric: failedLogins('serving'),
      threshold: 1,
      evaluationPeriods: 2,
      // A pooler that proves nothing may have no login that works.
      missing: TreatMissingData.BREACHING,
      what: 'A login of an application fails on the database that the pooler leads to, or nothing is proven at all.',
      because: 'the proof runs each five minutes; one may meet a server that restarts, two in a row do not.',
    });
    if (!pooler.leadsToBoth) continue;
    alarms.add({
      ...of,
      name: 'PoolerOtherLogins',
      severity: 'low',
      metric: failedLogins('other'),
      threshold: 1,
      evaluationPeriods: 2,
      missing: TreatMissingData.NOT_BREACHING,
      what: 'A login of an application fails on the database that the pooler does not lead to yet, or any more.',
      because: 'one login is enough to cut off its application in the cutover; before the phase schema none can work.',
    });
  }
}
