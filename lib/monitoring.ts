import { Duration } from 'aws-cdk-lib';
import { MathExpression, Metric, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import type { Instance } from 'aws-cdk-lib/aws-ec2';
import { EventField, Rule, RuleTargetInput } from 'aws-cdk-lib/aws-events';
import { SnsTopic } from 'aws-cdk-lib/aws-events-targets';
import type { ITopic } from 'aws-cdk-lib/aws-sns';
import { Construct } from 'constructs';
import { Alarms } from './alarms';
import { HOST_NAMESPACE } from './host-role';

export interface MonitoringProps {
  readonly instance: Instance;
  /** Names of the Automation documents whose failures are told. */
  readonly runbooks: readonly string[];
  readonly topic: ITopic;
  /** Thresholds of the settings, by the alarm's name. */
  readonly thresholds: Readonly<Record<string, number>>;
}

/** Alarms about the host, and notices of runbooks that did not succeed. */
export class Monitoring extends Construct {
  constructor(scope: Construct, id: string, { instance, runbooks, topic, thresholds }: MonitoringProps) {
    super(scope, id);
    const alarms = new Alarms(this, 'Alarms', { topic, thresholds });
    hostAlarms(alarms, instance);
    syncAlarms(alarms, instance);
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
}

function hostAlarms(alarms: Alarms, instance: Instance): void {
  const metric = (namespace: string, metricName: string): Metric =>
    new Metric({
      namespace,
      metricName,
      dimensionsMap: { InstanceId: instance.instanceId },
      statistic: 'Maximum',
      period: Duration.minutes(1),
    });
  alarms.add({
    name: 'HostStatus',
    severity: 'high',
    metric: metric('AWS/EC2', 'StatusCheckFailed'),
    threshold: 1,
    evaluationPeriods: 3,
    // A host that is stopped reports nothing.
    missing: TreatMissingData.BREACHING,
    what: 'The Bucardo host fails its status checks, or is stopped; changes pile up on the source.',
    because: 'one failed check can be a hiccup; sync stands still after three.',
  });
  alarms.add({
    name: 'HostDisk',
    severity: 'high',
    metric: metric(HOST_NAMESPACE, 'DataVolumeUsed'),
    threshold: 80,
    evaluationPeriods: 5,
    missing: TreatMissingData.MISSING,
    what: 'The data volume of the Bucardo host is filling up: dump, queue or logs.',
    because: 'a volume can be enlarged while it works, but only once in six hours.',
  });
  alarms.add({
    name: 'HostMemory',
    severity: 'low',
    metric: metric(HOST_NAMESPACE, 'MemoryUsed'),
    threshold: 90,
    evaluationPeriods: 5,
    missing: TreatMissingData.MISSING,
    what: 'The Bucardo host has little memory left; the kernel may kill Bucardo or its PostgreSQL.',
    because: 'the page cache does not count, so nine tenths are really taken.',
  });
  alarms.add({
    name: 'HostSilent',
    severity: 'high',
    metric: metric(HOST_NAMESPACE, 'DataVolumeUsed').with({ statistic: 'SampleCount' }),
    threshold: 1,
    bad: 'below',
    evaluationPeriods: 10,
    // A publisher that is gone tells nothing, and HostDisk and HostMemory go without a word.
    missing: TreatMissingData.BREACHING,
    what: 'The Bucardo host does not tell how full disk and memory are; nobody would be warned of a full one.',
    because: 'it tells each minute; ten silent minutes are no reboot any more.',
  });
}

/** About what `ibex metrics` tells; before there is a sync, and after the cleanup, it tells nothing. */
function syncAlarms(alarms: Alarms, instance: Instance): void {
  const metric = (metricName: string, period = Duration.minutes(1)): Metric =>
    new Metric({
      namespace: HOST_NAMESPACE,
      metricName,
      dimensionsMap: { InstanceId: instance.instanceId },
      statistic: 'Maximum',
      period,
    });
  const more = (metricName: string): MathExpression => {
    const period = Duration.minutes(15);
    return new MathExpression({ expression: 'DIFF(m)', usingMetrics: { m: metric(metricName, period) }, period });
  };
  const missing = TreatMissingData.NOT_BREACHING;
  alarms.add({
    name: 'SyncProblem',
    severity: 'high',
    metric: metric('SyncProblems'),
    threshold: 1,
    evaluationPeriods: 1,
    missing,
    what: 'Something stands against the cutover: capture has a gap or was taken off, a table was defined anew, rows differ or cannot be compared, or the source is not the same.',
    because: 'each problem blocks the cutover until somebody has acted, and a gap grows meanwhile.',
  });
  alarms.add({
    name: 'SyncBehind',
    severity: 'high',
    metric: metric('SyncBehind'),
    threshold: 300,
    evaluationPeriods: 5,
    missing,
    what: 'The sync stands still or is far behind; changes pile up on the source.',
    because: 'a sync that hangs is started anew within two minutes, and what lasts longer does not mend itself.',
  });
  alarms.add({
    name: 'SyncRestarts',
    severity: 'low',
    metric: more('SyncRestarts'),
    threshold: 3,
    evaluationPeriods: 1,
    missing,
    what: 'Bucardo was started anew again and again.',
    because: 'one start follows each short outage of an end; three in a row have a cause that stays.',
  });
  alarms.add({
    name: 'SyncTakenBack',
    severity: 'low',
    metric: more('SyncTakeovers'),
    threshold: 1,
    evaluationPeriods: 1,
    missing,
    what: 'Catch-up took over from Bucardo, since a backlog grew or a table was truncated.',
    because: 'each time tells of a load or a statement that the cutover should not meet.',
  });
  alarms.add({
    name: 'WayBackClosed',
    severity: 'high',
    metric: metric('WayBackProblems'),
    threshold: 1,
    evaluationPeriods: 1,
    missing,
    what: 'The way back is closed: the source does not take all that the target has taken.',
    because: 'a rollback is refused from the first row on that the source lacks.',
  });
}
