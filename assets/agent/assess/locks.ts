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

/** What the server's lock table has room for, all sessions together; PostgreSQL's manual, "Lock Management". */
const LOCK_TABLE = sql`
  SELECT current_setting('max_locks_per_transaction')::int AS value,
    current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int AS sessions`;

/** The room is `value`, that of max_locks_per_transaction, for each session and prepared transaction that may be. */
interface LockTable {
  readonly value: number;
  readonly sessions: number;
}

/** A refusal where the lock table may be filled, a warning where more than our share of it may be taken. */
function judge(end: End, { value, sessions }: LockTable, needed: number, taker: string): Finding[] {
  const room = value * sessions;
  if (needed <= room * OUR_SHARE) return [];
  const least = Math.ceil(needed / OUR_SHARE / sessions);
  const text = `${end} has room for ${room} locks (max_locks_per_transaction is ${value}), and ${taker} may hold ${needed} at once: when none is left, statements fail with "out of shared memory", the application's among them; set max_locks_per_transaction to ${least} at least, on standbys first, and restart the server`;
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

/** Who holds most, at the same time. */
const BOTH = 'Bucardo and the fence';

/** Only a restart of a server gives its lock table more room, so this must be known before anything else. */
const lockTables: Check = {
  gate: 'lock tables',
  run: async ({ context, source, target, relations }) => {
    const read = async (client: Client): Promise<LockTable> => (await client.query(LOCK_TABLE)).rows[0] as LockTable;
    const room = { source: await read(source), target: await read(target) };
    const [{ made }] = (await source.query(MADE, [hiddenSchemas(context.config)])).rows as [{ made: number }];
    // The fence locks all tables in one transaction, as pg_dump does, beside which Bucardo looks at all queues.
    const fence = (await readFenceable(source)).length;
    const fed = LOCKS_PER_QUEUE * relations.length + fence;
    const moved = context.config.cutover.wayBack === 'armed' ? fed : fence;
    const findings = [
      ...judge('source', room.source, fed, BOTH),
      ...(made > moved
        ? judge('target', room.target, made, 'the transaction that makes the schema')
        : judge('target', room.target, moved, BOTH)),
    ];
    return { query: `${LOCK_TABLE}; ${MADE}`, result: { room, fed, moved, made }, findings };
  },
};

export const lockChecks: readonly Check[] = [lockTables];
