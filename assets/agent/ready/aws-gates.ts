import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  DescribeDBClustersCommand,
  DescribeDBInstancesCommand,
  paginateDescribeDBClusterSnapshots,
  paginateDescribeDBSnapshots,
} from '@aws-sdk/client-rds';
import { raisedAlarms } from './alarms';
import type { AwsAccount } from './aws-account';
import { groupHealth } from '../switch/target-health';
import { block, firstOf, pass, warn, type Answer, type Gate } from './gate';

/** Begins the name of each rollback point; the rest is the id of the execution that made it. */
export const SNAPSHOT_PREFIX = 'ibex-';

const MS_PER_HOUR = 3_600_000;

const NOT_AWS: Answer = pass('not asked: the target is not described as one of AWS', null);

const onAws = (
  name: string,
  query: string,
  again: boolean,
  ask: (aws: AwsAccount, stateDirectory: string) => Promise<Answer>,
): Gate => ({
  name,
  query,
  again,
  // An alarm may be the very reason to go back.
  forwardOnly: true,
  ask: async ({ aws, context: { config } }) => (aws ? ask(aws, config.host.stateDirectory) : NOT_AWS),
});

const alarms = onAws('no alarm', 'cloudwatch:DescribeAlarms StateValue=ALARM', true, async (aws) => {
  const found = await raisedAlarms(aws);
  return found.length === 0
    ? pass(`none of ${aws.alarmPrefixes.join('…, ')}… is raised`, found)
    : block(`raised: ${firstOf(found.map(({ name }) => name))}`, 'docs/alarms.md says what to do', found);
});

const profile = onAws(
  'serve profile in force',
  'rds:DescribeDBInstances, rds:DescribeDBClusters: ParameterApplyStatus, PendingModifiedValues; the profile of the host',
  false,
  async (aws, stateDirectory) => {
    const servers = await Promise.all(aws.instances.map((id) => pendingOf(aws, id)));
    const cluster = aws.cluster === undefined ? [] : await pendingMembers(aws, aws.cluster);
    const file = join(stateDirectory, 'profile');
    const recorded = existsSync(file) ? readFileSync(file, 'utf8').trim() : 'load';
    const pending = [...servers.flat(), ...cluster];
    const result = { profile: recorded, pending };
    if (pending.length > 0)
      return block(`waits for a restart: ${firstOf(pending)}`, 'restart it now, while nobody uses it', result);
    return recorded === 'serve'
      ? pass('serve, nothing waits for a restart', result)
      : block(`profile ${recorded}`, 'run the command of the stack output ServeProfile', result);
  },
);

/** Whether those who are led to the target's address find it there: health checks take half a minute, a pause does not. */
const address = onAws(
  'target behind its address',
  'elasticloadbalancing:DescribeTargetHealth of the target groups',
  true,
  async ({ address: groups, loadBalancers }) => {
    if (!groups) return pass('not asked: no load balancer is described', null);
    const writer = await groupHealth(loadBalancers, groups.writer);
    const readers = groups.readers === undefined ? undefined : await groupHealth(loadBalancers, groups.readers);
    const result = { writer, readers };
    if (!writer.healthy)
      return block(`no writer is healthy there: ${writer.states}`, 'mend that first: docs/endpoint.md', result);
    return readers && !readers.healthy
      ? warn(`no reader is healthy there: ${readers.states}`, 'mend that before readers are led there', result)
      : pass(`healthy: ${[writer, readers].flatMap((each) => each?.states ?? []).join('; readers: ')}`, result);
  },
);

async function pendingOf({ rds }: AwsAccount, id: string): Promise<string[]> {
  const { DBInstances = [] } = await rds.send(new DescribeDBInstancesCommand({ DBInstanceIdentifier: id }));
  return DBInstances.flatMap(({ DBParameterGroups = [], PendingModifiedValues = {} }) => [
    ...DBParameterGroups.filter(({ ParameterApplyStatus }) => ParameterApplyStatus === 'pending-reboot').map(
      ({ DBParameterGroupName }) => `${id} for ${DBParameterGroupName}`,
    ),
    ...Object.keys(PendingModifiedValues).map((name) => `${id} for ${name}`),
  ]);
}

async function pendingMembers({ rds }: AwsAccount, cluster: string): Promise<string[]> {
  const { DBClusters = [] } = await rds.send(new DescribeDBClustersCommand({ DBClusterIdentifier: cluster }));
  return DBClusters.flatMap(({ DBClusterMembers = [], DBClusterParameterGroup }) =>
    DBClusterMembers.filter(
      ({ DBClusterParameterGroupStatus }) => DBClusterParameterGroupStatus === 'pending-reboot',
    ).map(
      // prettier-ignore
      ({ DBInstanceIdentifier }) => `${DBInstanceIdentifier} for ${DBClusterParameterGroup}`,
    ),
  );
}

/** What the gate of the rollback point found: the newest snapshot of ours. */
export interface RollbackPoint {
  readonly name: string;
  readonly status: string;
  readonly at: string;
}

/**
 * The newest snapshot of ours. The runbook migrate takes one after the approval, so ready may well find none yet; the
 * cutover does not begin before there is one, unless none is wanted.
 */
export const ROLLBACK_POINT: Gate = {
  name: 'rollback point',
  query: 'rds:DescribeDBClusterSnapshots or rds:DescribeDBSnapshots',
  again: true,
  forwardOnly: true,
  ask: async ({ aws, context: { config }, freezing }) => {
    if (!aws) return NOT_AWS;
    const snapshots = (await readSnapshots(aws)).filter(({ name }) => name.startsWith(SNAPSHOT_PREFIX));
    const [newest] = snapshots.toSorted((a, b) => b.at.getTime() - a.at.getTime());
    const missing = freezing && config.ready.snapshot ? block : warn;
    const todo = 'start the runbook snapshot; migrate takes one by itself after the approval';
    if (!newest) return missing('no snapshot', todo, null);
    if (newest.status !== 'available') return missing(`${newest.name} is ${newest.status}`, todo, newest);
    const age = (Date.now() - newest.at.getTime()) / MS_PER_HOUR;
    const figure = `snapshot ${newest.name}, ${age.toFixed(1)} hours old`;
    return age > config.ready.snapshotHours ? warn(figure, todo, newest) : pass(figure, newest);
  },
};

interface Snapshot {
  readonly name: string;
  readonly status: string;
  readonly at: Date;
}

async function readSnapshots({ rds: client, cluster, instances }: AwsAccount): Promise<Snapshot[]> {
  const found: Snapshot[] = [];
  // One that is being made has no time yet, so it is the newest.
  const add = (name = '', status = '', at = new Date()): void => void found.push({ name, status, at });
  if (cluster !== undefined) {
    const asked = { DBClusterIdentifier: cluster, SnapshotType: 'manual' };
    for await (const { DBClusterSnapshots = [] } of paginateDescribeDBClusterSnapshots({ client }, asked))
      for (const one of DBClusterSnapshots) add(one.DBClusterSnapshotIdentifier, one.Status, one.SnapshotCreateTime);
    return found;
  }
  for (const DBInstanceIdentifier of instances) {
    const asked = { DBInstanceIdentifier, SnapshotType: 'manual' };
    for await (const { DBSnapshots = [] } of paginateDescribeDBSnapshots({ client }, asked))
      for (const one of DBSnapshots) add(one.DBSnapshotIdentifier, one.Status, one.SnapshotCreateTime);
  }
  return found;
}

/** What only the account knows. */
export const AWS_GATES: readonly Gate[] = [alarms, profile, address, ROLLBACK_POINT];
