import { hiddenSchemas, isApplicationSchema } from '../catalog/schemas';
import { sql } from '../sql';
import { block, firstOf, pass, warn, type Gate } from './gate';

const LONG_TRANSACTIONS = sql`
  SELECT a.pid, a.usename AS "user", a.application_name AS application, a.state,
    extract(epoch FROM clock_timestamp() - a.xact_start)::int AS seconds,
    coalesce(string_agg(DISTINCT l.relation::regclass::text, ', '), '') AS writes
  FROM pg_stat_activity a
  LEFT JOIN pg_locks l ON l.pid = a.pid AND l.granted AND l.locktype = 'relation'
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')
    AND EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.oid = l.relation AND c.relkind IN ('r', 'p') AND ${isApplicationSchema('n.nspname', '$2')})
  WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.backend_type = 'client backend'
    AND a.xact_start < clock_timestamp() - $1 * interval '1 second'
  GROUP BY 1, 2, 3, 4, a.xact_start ORDER BY a.xact_start`;

/** Locks of sessions whose transactions we may not see, for lack of pg_monitor; locks are shown to everybody. */
const HIDDEN = sql`
  SELECT count(*)::int AS hidden FROM pg_stat_activity
  WHERE datname = current_database() AND query = '<insufficient privilege>'`;

interface LongTransaction {
  readonly pid: number;
  readonly user: string;
  readonly application: string;
  readonly seconds: number;
  readonly writes: string;
}

const transactions: Gate = {
  name: 'long transactions at the source',
  query: LONG_TRANSACTIONS,
  again: true,
  forwardOnly: false,
  ask: async ({ context, source }) => {
    const { transactionSeconds } = context.config.ready;
    const found = await source.query(LONG_TRANSACTIONS, [transactionSeconds, hiddenSchemas(context.config)]);
    const rows = found.rows as LongTransaction[];
    const { hidden } = (await source.query(HIDDEN)).rows[0] as { hidden: number };
    const result = { rows, hidden };
    const named = (list: readonly LongTransaction[]): string =>
      firstOf(list.map(({ pid, user, seconds }) => `process ${pid} of ${user} for ${seconds} s`));
    const writers = rows.filter(({ writes }) => writes !== '');
    if (writers.length > 0)
      return block(`${named(writers)}, with locks on ${firstOf(writers.map((one) => one.writes))}`, 'the freeze would wait for them: let them end, or end them', result); // prettier-ignore
    if (rows.length > 0) return warn(named(rows), 'they only read; the freeze does not wait for them', result);
    return hidden > 0
      ? warn(`none seen; ${hidden} sessions are hidden from our login`, 'GRANT pg_monitor to it', result)
      : pass(`none over ${transactionSeconds} s`, result);
  },
};

const PREPARED = 'SELECT gid, prepared, owner FROM pg_prepared_xacts WHERE database = current_database()';

const prepared: Gate = {
  name: 'no prepared transaction',
  query: PREPARED,
  again: true,
  forwardOnly: false,
  ask: async ({ context, source }) => {
    const { rows } = await source.query(PREPARED);
    const names = (rows as { gid: string }[]).map(({ gid }) => gid);
    return names.length === 0
      ? pass('none', rows)
      : block(
          `${names.length} open at the ${context.real('source')}: ${firstOf(names)}`,
          'COMMIT PREPARED or ROLLBACK PREPARED them',
          rows,
        );
  },
};

/** Whether the source can be stopped. */
export const SOURCE_GATES: readonly Gate[] = [transactions, prepared];
