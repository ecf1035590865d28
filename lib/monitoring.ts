import { Duration } from 'aws-cdk-lib';
import { Metric, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
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
