import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Match, type Template } from 'aws-cdk-lib/assertions';
import { ROOT } from '../lib/bundle';
import { maxConnections, serverMemory } from '../lib/server-memory';
import { ALARM_UNITS } from '../lib/settings/alarm-names';
import type { TargetSettings } from '../lib/settings';
import { leastSettings, resolved, templatesOf } from './helpers/app';

interface AlarmProperties {
  readonly AlarmName: string;
  readonly AlarmDescription: string;
  readonly Threshold: number;
  readonly AlarmActions: unknown[];
  readonly OKActions: unknown[];
  readonly MetricName?: string;
  readonly ComparisonOperator: string;
  readonly Metrics?: { readonly Expression: unknown }[];
  readonly TreatMissingData: string;
}

const alarmsOf = (template: Template): AlarmProperties[] =>
  Object.values(template.findResources('AWS::CloudWatch::Alarm')).map(
    (alarm) => alarm['Properties'] as AlarmProperties,
  );
const standard = templatesOf({
  ...leastSettings,
  target: { readers: 1 },
  endpoint: { ...leastSettings.endpoint, readerPort: 5433 },
});
const rds = templatesOf({ ...leastSettings, target: { engine: 'postgres', storage: { sizeGiB: 1_000 } } });
const pooled = templatesOf({
  ...leastSettings,
  endpoint: { ...leastSettings.endpoint, pooler: { source: { host: 'old.example.org', database: 'shop' } } },
  agent: {
    cutover: { switches: [{ kind: 'pooler' }] },
    applicationLogins: { shop: 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop' },
  },
});
const all = [standard, rds, pooled].flatMap(({ target, migration }) => [...alarmsOf(target), ...alarmsOf(migration)]);
const alarm = (name: string, from = all): AlarmProperties => {
  const found = from.find(({ AlarmName }) => AlarmName.endsWith(`-${name}`));
  if (!found) throw new Error(`no alarm ${name}`);
  return found;
};
const articleOf = ({ AlarmDescription }: AlarmProperties): string =>
  /docs\/alarms\.md, (\w+)\.$/.exec(AlarmDescription)?.[1] ?? '';

const articles = new Map(
  readFileSync(join(ROOT, 'docs', 'alarms.md'), 'utf8')
    .split(/^## /m)
    .slice(1)
    .map((text) => [text.slice(0, text.indexOf('\n')), text] as const),
);

describe('articles', () => {
  test('there is one for each alarm and for failed runbooks, and no other', () => {
    expect([...new Set([...all.map(articleOf), 'RunbookFailed'])].sort()).toEqual([...articles.keys()].sort());
    expect(Object.keys(ALARM_UNITS).sort()).toEqual([...new Set(all.map(articleOf))].sort());
  });

  test.each([...articles])('%s says what it means, where to look and what to do, with its severity', (name, text) => {
    for (const part of ['**What it means.**', '**Look.**', '**Do.**']) expect(text).toContain(part);
    const [severity] = /`(high|low)`/.exec(text) ?? [];
    expect(severity).toBeDefined();
    for (const each of all.filter((one) => articleOf(one) === name)) {
      expect(each.AlarmDescription).toContain(`[${severity?.replaceAll('`', '')}]`);
    }
  });
});

test('each alarm has a reason for its threshold, with its unit', () => {
  for (const { AlarmDescription } of all)
    expect(AlarmDescription).toMatch(/Threshold \([a-z ]+\): .{20,}\. What to do/);
});

test('each tells the topic of its own stack when it starts and when it is over', () => {
  for (const { AlarmActions, OKActions } of all) {
    expect(AlarmActions).toEqual([{ Ref: expect.stringMatching(/^NoticesTopic/) as string }]);
    expect(OKActions).toEqual(AlarmActions);
  }
  standard.target.hasResourceProperties('AWS::SNS::Topic', { TopicName: 'Automation-shop-target' });
});

test('each server has its own, and so has each group of the load balancer', () => {
  const names = alarmsOf(standard.target).map(({ AlarmName }) => AlarmName);
  expect(names.filter((name) => name.includes('DatabaseCpu'))).toEqual([
    'shop-target-DatabaseCpu',
    'shop-target-DatabaseCpuServer2',
  ]);
  expect(names).toContain('shop-target-EndpointUnhealthyReaders');
});

test('each pooler has its own, for the side that it is on and for the other one', () => {
  const names = alarmsOf(pooled.target).map(({ AlarmName }) => AlarmName.replace('shop-target-', ''));
  expect(names.filter((name) => name.startsWith('Pooler')).sort()).toEqual([
    'PoolerLogins',
    'PoolerLoginsInstance2',
    'PoolerOtherLogins',
    'PoolerOtherLoginsInstance2',
    'PoolerStatus',
    'PoolerStatusInstance2',
    'PoolerUnhealthy',
  ]);
  pooled.target.hasResourceProperties('AWS::CloudWatch::Alarm', {
    AlarmName: 'shop-target-PoolerLoginsInstance2',
    Namespace: 'Ibex/Pooler',
    MetricName: 'FailedLogins',
    Dimensions: [
      { Name: 'InstanceId', Value: { Ref: Match.stringLikeRegexp('^PoolerInstancesInstance2') } },
      { Name: 'Side', Value: 'serving' },
    ],
    TreatMissingData: 'breaching',
  });
  pooled.target.hasResourceProperties('AWS::CloudWatch::Alarm', {
    AlarmName: 'shop-target-PoolerUnhealthy',
    Dimensions: Match.arrayWith([
      {
        Name: 'TargetGroup',
        Value: { 'Fn::GetAtt': [Match.stringLikeRegexp('^PoolerTargets'), 'TargetGroupFullName'] },
      },
    ]),
  });
  const { target } = templatesOf({
    ...leastSettings,
    endpoint: { ...leastSettings.endpoint, pooler: {} },
    agent: { applicationLogins: { shop: 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop' } },
  });
  expect(alarmsOf(target).filter(({ AlarmName }) => AlarmName.includes('PoolerOtherLogins'))).toEqual([]);
});

test('an engine is asked for the metrics that it has', () => {
  const aurora = alarmsOf(standard.target);
  expect(alarm('DatabaseFreeStorage', aurora)).toMatchObject({
    MetricName: 'FreeLocalStorage',
    Threshold: 10_737_418_240,
  });
  expect(alarm('DatabaseDeadlocks', aurora)).toMatchObject({ MetricName: 'Deadlocks' });
  const postgres = alarmsOf(rds.target);
  expect(alarm('DatabaseFreeStorage', postgres)).toMatchObject({
    MetricName: 'FreeStorageSpace',
    Threshold: 107_374_182_400,
    ComparisonOperator: 'LessThanThreshold',
  });
  expect(JSON.stringify(alarm('DatabaseDeadlocks', postgres).Metrics)).toContain("DB_PERF_INSIGHTS('RDS', '");
});

test.each<[TargetSettings, number, number]>([
  [{ instanceClass: 'db.r7g.2xlarge' }, 64, 5_000],
  [{ instanceClass: 'db.r6i.large' }, 16, 1_802],
  [{ instanceClass: 'db.t4g.medium' }, 4, 450],
  [{ instanceClass: 'db.serverless', serverless: { minCapacity: 1, maxCapacity: 8 } }, 16, 1_802],
  [{ engine: 'postgres', instanceClass: 'db.m7g.4xlarge' }, 64, 5_000],
])('%j has %i GiB, and so %i connections', (target, gib, connections) => {
  const settings = resolved({ target }).target;
  expect(serverMemory(settings)).toBe(gib * 1_073_741_824);
  expect(maxConnections(settings)).toBe(connections);
});

test('thresholds of connections and memory follow the class', () => {
  const small = alarmsOf(templatesOf({ ...leastSettings, target: { instanceClass: 'db.r6i.large' } }).target);
  expect(alarm('DatabaseConnections', small).Threshold).toBe(1_441);
  expect(alarm('DatabaseFreeableMemory', small).Threshold).toBe(858_993_459);
});

test('settings may set another threshold, and nothing else changes', () => {
  const other = templatesOf({ ...leastSettings, notifications: { thresholds: { HostDisk: 70 } } }).migration;
  expect(alarm('HostDisk', alarmsOf(other)).Threshold).toBe(70);
  expect(alarm('HostMemory', alarmsOf(other)).Threshold).toBe(90);
});

test('silence is an alarm where it means a fault', () => {
  expect(alarm('HostStatus').TreatMissingData).toBe('breaching');
  expect(alarm('EndpointSyncSilent').TreatMissingData).toBe('breaching');
  expect(alarm('EndpointSyncErrors').TreatMissingData).toBe('notBreaching');
});

test('a host that publishes no metrics is told of, but not before it can publish any', () => {
  expect(alarm('HostSilent')).toMatchObject({
    MetricName: 'DataVolumeUsed',
    Statistic: 'SampleCount',
    ComparisonOperator: 'LessThanThreshold',
    Threshold: 1,
    TreatMissingData: 'breaching',
  });
  const [made] = Object.entries(standard.migration.findResources('AWS::CloudWatch::Alarm')).filter(([id]) =>
    id.includes('HostSilent'),
  );
  expect(made?.[1]['DependsOn']).toEqual(expect.arrayContaining([expect.stringMatching(/^InstallationAssociation/)]));
});

test('the alarms of the target stay when the migration stack goes', () => {
  standard.target.hasResourceProperties('AWS::CloudWatch::Alarm', {
    MetricName: 'UnHealthyHostCount',
    Dimensions: Match.arrayWith([Match.objectLike({ Name: 'TargetGroup' })]),
  });
  expect(
    alarmsOf(standard.migration)
      .map(({ AlarmName }) => AlarmName)
      .sort(),
  ).toEqual([
    'shop-migration-HostDisk',
    'shop-migration-HostMemory',
    'shop-migration-HostSilent',
    'shop-migration-HostStatus',
    'shop-migration-SyncBehind',
    'shop-migration-SyncProblem',
    'shop-migration-SyncRestarts',
    'shop-migration-SyncTakenBack',
    'shop-migration-WayBackClosed',
  ]);
});
