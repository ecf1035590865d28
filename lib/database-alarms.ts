import { Duration } from 'aws-cdk-lib';
import { MathExpression, Metric, TreatMissingData, type IMetric } from 'aws-cdk-lib/aws-cloudwatch';
import type { Alarms } from './alarms';
import type { Database } from './database';
import { maxConnections, serverMemory } from './server-memory';
import type { ResolvedTarget } from './settings';

const GIB = 1_073_741_824;
const FIVE_MINUTES = Duration.minutes(5);

/** Alarms about each server of the target. A server that is gone reports nothing, and the endpoint's alarms tell. */
export function databaseAlarms(alarms: Alarms, database: Database, settings: ResolvedTarget): void {
  for (const [index, instance] of database.resource.instanceIds.entries()) {
    serverAlarms(alarms, settings, index === 0 ? {} : { of: `Server${index + 1}` }, instance);
  }
  const { clusterId, resourceId, instanceIds } = database.resource;
  alarms.add({
    name: 'DatabaseTransactionAge',
    severity: 'high',
    metric: rds('MaximumUsedTransactionIDs', 'Maximum', {
      DBInstanceIdentifier: instanceIds[0] ?? '',
    }),
    threshold: 1_000_000_000,
    evaluationPeriods: 1,
    missing: TreatMissingData.MISSING,
    what: 'The oldest transaction id of the target is old: vacuum does not keep up, or something holds it back.',
    because: 'writes stop at two billion, and a vacuum of large tables takes days.',
  });
  alarms.add({
    name: 'DatabaseDeadlocks',
    severity: 'low',
    metric: deadlocks(clusterId, resourceId),
    threshold: 0.01,
    evaluationPeriods: 1,
    missing: TreatMissingData.NOT_BREACHING,
    what: 'Transactions on the target block each other.',
    because: 'three in five minutes are more than the chance that an application repeats by itself.',
  });
}

function serverAlarms(alarms: Alarms, settings: ResolvedTarget, of: { readonly of?: string }, instance: string): void {
  const metric = (name: string, statistic = 'Average'): Metric =>
    rds(name, statistic, { DBInstanceIdentifier: instance });
  const common = { ...of, missing: TreatMissingData.MISSING, evaluationPeriods: 3 } as const;
  const aurora = settings.engine === 'aurora-postgresql';
  alarms.add({
    ...common,
    name: 'DatabaseCpu',
    severity: 'low',
    metric: metric('CPUUtilization'),
    threshold: 90,
    what: 'A server of the target has had no processor to spare for a quarter of an hour.',
    because: 'above nine tenths answers queue; a load may well work there.',
  });
  alarms.add({
    ...common,
    name: 'DatabaseConnections',
    severity: 'high',
    metric: metric('DatabaseConnections', 'Maximum'),
    threshold: Math.floor(maxConnections(settings) * 0.8),
    what: 'A server of the target is running out of connections.',
    because: 'four fifths of what the memory of its class allows; at the end of them even the cutover cannot connect.',
  });
  alarms.add({
    ...common,
    name: 'DatabaseFreeableMemory',
    severity: 'high',
    metric: metric('FreeableMemory', 'Minimum'),
    threshold: Math.floor(serverMemory(settings) * 0.05),
    bad: 'below',
    what: 'A server of the target is running out of memory.',
    because: 'a twentieth of the memory of its class; below, the server is restarted by its own operating system.',
  });
  alarms.add({
    ...common,
    name: 'DatabaseFreeStorage',
    severity: 'high',
    metric: metric(aurora ? 'FreeLocalStorage' : 'FreeStorageSpace', 'Minimum'),
    threshold: aurora ? 10 * GIB : settings.storage.sizeGiB * GIB * 0.1,
    bad: 'below',
    what: aurora
      ? 'A server of the target has little local disk left, where index builds and sorts put their temporary files.'
      : 'The volume of the target is nearly full.',
    because: aurora
      ? 'one index build of a large table writes that much in minutes.'
      : 'a tenth of the volume; RDS stops the server when it is full, and grows a volume once in six hours only.',
  });
  for (const [name, metricName, verb] of [
    ['DatabaseReadLatency', 'ReadLatency', 'reads'],
    ['DatabaseWriteLatency', 'WriteLatency', 'writes'],
  ] as const) {
    alarms.add({
      ...common,
      name,
      severity: 'low',
      metric: metric(metricName),
      threshold: 0.02,
      what: `The storage of the target answers ${verb} slowly.`,
      because: 'ten times what the storage takes in health.',
    });
  }
}

const rds = (metricName: string, statistic: string, dimensionsMap: Record<string, string>): Metric =>
  new Metric({ namespace: 'AWS/RDS', metricName, statistic, dimensionsMap, period: FIVE_MINUTES });

/** Aurora has a metric of its own; for RDS the counter of Database Insights is asked, which has no other name. */
function deadlocks(clusterId: string | undefined, resourceId: string | undefined): IMetric {
  if (clusterId !== undefined) return rds('Deadlocks', 'Average', { DBClusterIdentifier: clusterId });
  return new MathExpression({
    expression: `DB_PERF_INSIGHTS('RDS', '${resourceId ?? ''}', 'db.Concurrency.deadlocks.avg')`,
    label: 'Deadlocks a second',
    usingMetrics: {},
    period: FIVE_MINUTES,
  });
}
