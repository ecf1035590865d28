import type { Client } from 'pg';
import { hiddenSchemas, isApplicationSchema } from '../catalog/schemas';
import type { End } from '../endpoints';
import { readFenceable } from '../fence/objects';
import { sql } from '../sql';
import { refusal, warning, type Check, type Finding } from './check';

/**
 * What a run of Bucardo locks of each relation on the end that it reads, until its transaction ends: the queue with its
 * two indexes, and the track with its one.
 */
export const LOCKS_PER_QUEUE = 5;

/** Share of a lock table that we may take; the rest is the application's. */
const OUR_SHARE = 1 / 2;

/**
 * What the server's lock table has room for, all processes together: MaxBackends of PostgreSQL's source, which knows
 * senders of WAL beside the sessions from 12 on, and prepared transactions.
 */
const LOCK_TABLE = sql`
  SELECT max(setting::int) FILTER (WHERE name = 'max_locks_per_transaction') AS value,
    1 + sum(setting::int) FILTER (WHERE name IN ('max_connections', 'max_prepared_transactions', 'autovacuum_max_workers',
      'autovacuum_worker_slots', 'max_worker_processes')
      OR name = 'max_wal_senders' AND current_setting('server_version_num')::int >= 120000)::int AS sessions
  FROM pg_settings
  WHERE NOT (name = 'autovacuum_max_workers' AND current_setting('server_version_num')::int >= 180000)`;

/** The room is `value`, that of max_locks_per_transaction, for each process and prepared transaction that may be. */
interface LockTable {
  readonly value: number;
  readonly sessions: number;
}

/** What somebody locks at once, at most. */
interface Taker {
  readonly needed: number;
  readonly who: string;
}

/** A refusal where the lock table may be filled, a warning where more than our share of it may be taken. */
function judge(end: End, { value, sessions }: LockTable, takers: readonly Taker[]): Finding[] {
  const room = value * sessions;
  const { needed, who } = takers.reduce((most, each) => (each.needed > most.needed ? each : most));
  if (needed <= room * OUR_SHARE) return [];
  const least = Math.ceil(needed / OUR_SHARE / sessions);
  const text = `${end} has room for ${room} locks (max_locks_per_transaction is ${value}), and ${who} may hold ${needed} at once: when none is left, statements fail with "out of shared memory", the application's among them; set max_locks_per_transaction to ${least} at least, on standbys first, and restart the server`;
  return [needed > room ? refusal(text) : warning(text)];
}

/**
 * What the transaction that makes the schema locks on the target: whatever it makes, and the table and the index that hold
 * the long values of a table.
 */
const MADE = sql`
  SELECT (count(*) + 2 * count(*) FILTER (WHERE c.reltoastrelid <> 0))::int AS made
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') AND c.relpersistence <> 't'
    AND ${isApplicationSchema('n.nspname', '$1')}`;

/** Only a restart of a server gives its lock table more room, so this must be known before anything else. */
const lockTables: Check = {
  gate: 'lock tables',
  run: async ({ context, source, target, relations }) => {
    const read = async (client: Client): Promise<LockTable> => (await client.query(LOCK_TABLE)).rows[0] as LockTable;
    const room = { source: await read(source), target: await read(target) };
    const [{ made }] = (await source.query(MADE, [hiddenSchemas(context.config)])).rows as [{ made: number }];
    const queues = LOCKS_PER_QUEUE * relations.length;
    // It locks all tables in one transaction; Bucardo is ended before.
    const fence = { needed: (await readFenceable(source)).length, who: 'the fence' };
    const findings = [
      ...judge('source', room.source, [{ needed: queues, who: 'a run of Bucardo' }, fence]),
      ...judge('target', room.target, [{ needed: made, who: 'the transaction that makes the schema' }, fence]),
    ];
    return { query: `${LOCK_TABLE}; ${MADE}`, result: { room, queues, fence: fence.needed, made }, findings };
  },
};

export const lockChecks: readonly Check[] = [lockTables];
