import { Duration } from 'aws-cdk-lib';
import { Metric, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import type { NetworkTargetGroup } from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import type { Alarms } from './alarms';
import type { Endpoint } from './endpoint';

/** Alarms about the applications' address and the function that keeps it on the writer. */
export function endpointAlarms(alarms: Alarms, endpoint: Endpoint): void {
  const { loadBalancer, sync } = endpoint;
  const unhealthy = (group: NetworkTargetGroup, of: { readonly of?: string }): void => {
    alarms.add({
      ...of,
      name: 'EndpointUnhealthy',
      severity: 'high',
      metric: new Metric({
        namespace: 'AWS/NetworkELB',
        metricName: 'UnHealthyHostCount',
        dimensionsMap: {
          LoadBalancer: loadBalancer.loadBalancerFullName,
          TargetGroup: group.targetGroupFullName,
        },
        statistic: 'Maximum',
        period: Duration.minutes(1),
      }),
      threshold: 1,
      evaluationPeriods: 5,
      missing: TreatMissingData.NOT_BREACHING,
      what: 'The load balancer does not reach a server: applications that come through it are refused.',
      because: 'after a failover the former writer stays for a minute or two; five are no failover any more.',
    });
  };
  unhealthy(endpoint.targetGroup, {});
  if (endpoint.readerTargetGroup) unhealthy(endpoint.readerTargetGroup, { of: 'Readers' });
  alarms.add({
    name: 'EndpointResets',
    severity: 'low',
    metric: loadBalancer.metrics.tcpTargetResetCount({ statistic: 'Sum', period: Duration.minutes(5) }),
    threshold: 100,
    evaluationPeriods: 1,
    missing: TreatMissingData.NOT_BREACHING,
    what: 'The database cuts off many connections.',
    because: 'a failover cuts all at once, which is told anyway; single ones are clients that time out.',
  });
  alarms.add({
    name: 'EndpointSyncErrors',
    severity: 'high',
    metric: sync.handler.metricErrors({ statistic: 'Sum', period: Duration.minutes(1) }),
    threshold: 1,
    evaluationPeriods: 3,
    missing: TreatMissingData.NOT_BREACHING,
    what: 'The function that keeps the load balancer on the writer fails; the next failover would cut the applications off.',
    because: 'one run may meet a name service or an API that is busy; three in a row do not.',
  });
  alarms.add({
    name: 'EndpointSyncSilent',
    severity: 'high',
    metric: sync.writerTargets,
    threshold: 1,
    bad: 'below',
    evaluationPeriods: 10,
    missing: TreatMissingData.BREACHING,
    what: 'The function that keeps the load balancer on the writer does not run, or finds no writer.',
    because: 'it says each minute how many addresses the group has, which is one; ten silent minutes are a fault.',
  });
}
