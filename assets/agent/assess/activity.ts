import { sql } from '../sql';
import { askFor, warning, type Check } from './check';

/** Age from which an open transaction is worth a word: the capture of a table waits for its writers. */
const LONG = `interval '5 minutes'`;

const PREPARED = sql`
  SELECT gid AS name, round(extract(epoch FROM clock_timestamp() - prepared))::int AS seconds
  FROM pg_prepared_xacts WHERE database = current_database() ORDER BY prepared`;

const prepared = askFor<{ name: string; seconds: number }>('prepared transactions', 'source', PREPARED, (row) =>
  warning(
    `prepared transaction "${row.name}" is open since ${row.seconds} s: capture waits for the tables that it wrote; finish it`,
  ),
);

const TRANSACTIONS = sql`
  SELECT pid, usename AS user, application_name AS application,
    round(extract(epoch FROM clock_timestamp() - xact_start))::int AS seconds
  FROM pg_stat_activity
  WHERE datname = current_database() AND xact_start < clock_timestamp() - ${LONG} AND backend_type = 'client backend'
  ORDER BY xact_start`;

const transactions = askFor<{ pid: number; user: string; application: string; seconds: number }>(
  'long transactions',
  'source',
  TRANSACTIONS,
  (row) =>
    warning(
      `transaction of pid ${row.pid} (${row.user}, ${row.application}) is open since ${row.seconds} s: capture waits for the tables that it wrote`,
    ),
);

const WRAPAROUND = sql`
  SELECT pid, query FROM pg_stat_activity
  WHERE datname = current_database() AND query LIKE 'autovacuum:%to prevent wraparound%'`;

const wraparound = askFor<{ pid: number; query: string }>('vacuum against wraparound', 'source', WRAPAROUND, (row) =>
  warning(`pid ${row.pid} runs "${row.query}", which gives way to nobody: capture of that table waits for its end`),
);

const SEES_SESSIONS = sql`
  SELECT current_user AS login, pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees`;

const sessions = askFor<{ login: string; sees: boolean }>('sessions of others', 'source', SEES_SESSIONS, (row) =>
  row.sees
    ? undefined
    : warning(
        `source login "${row.login}" may not see what other sessions do: the brake is blind to the source's load and to who waits for our locks, and capture cannot tell how old a transaction is that holds a table; GRANT pg_read_all_stats TO "${row.login}"`,
      ),
);

export const activityChecks: readonly Check[] = [sessions, prepared, transactions, wraparound];
