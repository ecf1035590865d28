import type { Client } from 'pg';
import { connectToHost } from '../connect';
import type { Context } from '../context';
import type { Endpoint } from '../endpoints';
import { copiedColumns, serverVersion, type Relation } from '../catalog/relations';
import { bucardoServiceFile, writeServices } from '../libpq';
import { ident, identList, sql } from '../sql';
import { addHandlers, readHandlers } from './handlers';
import { BUCARDO_DATABASE, BUCARDO_SUPERUSER, DBGROUP, SOURCE, TARGET } from './names';
import { logDirectory, pidDirectory, runBucardo } from './program';

/**
 * Settings of Bucardo that differ from its defaults. Its placeholders are quadratic in the chunk, so 500 keys a
 * statement are 5 to 10 times faster than 6,000; its own respawn is off since the supervisor restarts it; its VAC is off
 * since our purge forgets only what is applied.
 */
const SETTINGS: Readonly<Record<string, string>> = {
  statement_chunk_size: '500',
  log_level: 'NORMAL',
  mcp_dbproblem_sleep: '0',
  bucardo_vac: '0',
  quick_delta_check: '1',
  // A change waits for the check, and then for the controller and the kid to wake up: half a second less than by default.
  ctl_sleep: '0.1',
  kid_sleep: '0.1',
  kid_nodeltarows_sleep: '0.1',
};

/** How values are written and read, on both ends: every bit of a number, and dates that no setting of a role can turn. */
const EXACT_SESSION: Readonly<Record<string, string>> = {
  standard_conforming_strings: 'on',
  default_transaction_isolation: 'read committed',
  default_transaction_read_only: 'off',
  lc_monetary: 'C',
  extra_float_digits: '3',
  bytea_output: 'hex',
  array_nulls: 'on',
  xmloption: 'content',
  quote_all_identifiers: 'off',
  DateStyle: 'ISO',
  IntervalStyle: 'postgres',
};

/**
 * Session settings of Bucardo on the source. Statistics of a queue are always stale, and with them the planner takes a
 * nested loop that never ends. Time-outs of the role or the database must not cut a run short.
 */
const SOURCE_SESSION: Readonly<Record<string, string>> = {
  ...EXACT_SESSION,
  enable_nestloop: 'off',
  work_mem: '128MB',
  row_security: 'off',
  idle_in_transaction_session_timeout: '0',
  statement_timeout: '0',
};

/** Applied changes are forgotten after the target's commit, so that commit must be durable whatever the role says. */
const TARGET_SESSION: Readonly<Record<string, string>> = {
  ...EXACT_SESSION,
  synchronous_commit: 'on',
  row_security: 'off',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  statement_timeout: '0',
};

/** Lock time-out while Bucardo validates: it finds every trigger in place, and must not queue writers if it does not. */
const VALIDATE_LOCK_TIMEOUT = '500ms';

/** Makes Bucardo's own database on the host where it is missing. */
async function ensureInstalled(context: Context): Promise<void> {
  const { host } = context.config;
  const maintenance = await connectToHost(host, 'postgres');
  try {
    const role = await maintenance.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [BUCARDO_SUPERUSER]);
    if (role.rowCount === 0) await maintenance.query(`CREATE ROLE ${ident(BUCARDO_SUPERUSER)} SUPERUSER LOGIN`);
    const complete = await isInstalled(context, maintenance);
    if (complete) return;
    // What an interrupted installation left is of no use to anyone.
    await maintenance.query(`DROP DATABASE IF EXISTS ${ident(BUCARDO_DATABASE)}`);
  } finally {
    await maintenance.end();
  }
  await runBucardo(
    host,
    ['install', '--batch', '--quiet', `--piddir=${pidDirectory(host)}`, ...address(context)],
    'postgres',
  );
}

const address = ({ config: { host } }: Context): string[] => [
  `--dbhost=${host.postgres.host}`,
  `--dbport=${host.postgres.port}`,
  `--dbuser=${host.postgres.user}`,
  '--dbname=postgres',
];

async function isInstalled(context: Context, maintenance: Client): Promise<boolean> {
  const database = await maintenance.query('SELECT 1 FROM pg_database WHERE datname = $1', [BUCARDO_DATABASE]);
  if (database.rowCount === 0) return false;
  const client = await connectToHost(context.config.host, BUCARDO_DATABASE);
  try {
    const { rows } = await client.query(
      `SELECT to_regclass('bucardo.bucardo_config') IS NOT NULL AND to_regclass('bucardo.sync') IS NOT NULL
         AND to_regprocedure('bucardo.validate_sync(text)') IS NOT NULL AS complete`,
    );
    return (rows[0] as { complete: boolean }).complete;
  } finally {
    await client.end();
  }
}

/** Compiling the queries of short runs costs more than it saves; a server before 11 does not know the setting. */
const withoutJit = (version: number): Record<string, string> => (version >= 110_000 ? { jit: 'off' } : {});

/** Time-outs that a role or database may carry, and that older servers do not know: they would end the waiting master. */
const withoutTimeouts = (version: number): Record<string, string> => ({
  ...(version >= 140_000 && { idle_session_timeout: '0' }),
  ...(version >= 170_000 && { transaction_timeout: '0' }),
});

/**
 * Where Bucardo's sessions find operators: it compares keys by a bare `=`, which for a type of an extension is the one of
 * its schema, or, where that is not found, the one of text. No other schema, so that nobody's operator runs as us.
 */
function searchPath(syncs: readonly SyncRelations[]): string {
  const schemas = syncs.flatMap(({ relations }) =>
    relations.flatMap(({ key }) => key?.columns.map(({ operatorSchema }) => operatorSchema) ?? []),
  );
  return [...new Set(['pg_catalog', ...schemas])].map(ident).join(',');
}

async function writeBucardoServices(
  context: Context,
  target: Endpoint,
  settings: { readonly search_path: string; readonly lock_timeout: string },
): Promise<void> {
  const { search_path } = settings;
  const source = await context.endpoint('source');
  const version = await context.with('source', serverVersion);
  const there = await context.with('target', serverVersion);
  writeServices(bucardoServiceFile(context.config.host.runDirectory), [
    {
      name: SOURCE,
      endpoint: source,
      settings: { ...SOURCE_SESSION, ...withoutJit(version), ...withoutTimeouts(version), ...settings },
    },
    { name: TARGET, endpoint: target, settings: { ...TARGET_SESSION, ...withoutTimeouts(there), search_path } },
  ]);
}

/** What one sync of Bucardo replicates; the relations of all syncs are disjoint. */
export interface SyncRelations {
  readonly name: string;
  readonly relations: readonly Relation[];
}

/**
 * Tells Bucardo what to replicate, from nothing: both ends by service name only, and for each sync a relgroup and an
 * inactive one-way sync. Its validation finds every object of capture in place and adds its own bookkeeping.
 *
 * @param target the target as Bucardo logs in there
 * @param options whether the first run is to empty the relations and copy all of their rows. @default false
 */
export async function configureBucardo(
  context: Context,
  syncs: readonly SyncRelations[],
  target: Endpoint,
  { onetimecopy = false }: { readonly onetimecopy?: boolean } = {},
): Promise<void> {
  const names = syncs.map(({ name }) => name);
  const handlers = await readHandlers(context.config.sync.handlers, names);
  await ensureInstalled(context);
  const search_path = searchPath(syncs);
  await writeBucardoServices(context, target, { search_path, lock_timeout: VALIDATE_LOCK_TIMEOUT });
  const client = await connectToHost(context.config.host, BUCARDO_DATABASE);
  try {
    await client.query('BEGIN');
    await applySettings(context, client);
    for (const table of CONFIGURED) await client.query(`DELETE FROM bucardo.${table}`);
    await addEnds(client);
    for (const { name, relations } of syncs) {
      await addRelations(client, name, relations);
      await client.query(
        sql`
          INSERT INTO bucardo.sync (name, herd, dbs, status, autokick, checktime, strict_checking, onetimecopy, analyze_after_copy, conflict_strategy)
          VALUES ($1, $1, $2, 'inactive', false, make_interval(secs => $3), false, $4, false, 'bucardo_abort')`,
        [name, dbgroupName, context.config.sync.checkSeconds, onetimecopy ? 1 : 0],
      );
    }
    await addHandlers(client, handlers, names);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  } finally {
    await client.end();
  }
  await writeBucardoServices(context, target, { search_path, lock_timeout: '0' });
}

/** Tables of Bucardo with what is configured, those first that refer to others. */
const CONFIGURED = [
  'customcode_map',
  'customcode',
  'sync',
  'herdmap',
  'herd',
  'customcols',
  'goat',
  'dbmap',
  'dbgroup',
  'db',
];

/** Bucardo itself puts `dbgroup ` before the name in its track tables. */
const dbgroupName = DBGROUP.slice('dbgroup '.length);

async function applySettings({ config: { host } }: Context, client: Client): Promise<void> {
  const settings = {
    ...SETTINGS,
    reason_file: `${logDirectory(host)}/restart.reason`,
    warning_file: `${logDirectory(host)}/warning.log`,
    log_conflict_file: `${logDirectory(host)}/conflict.log`,
  };
  for (const [name, value] of Object.entries(settings)) {
    await client.query('UPDATE bucardo.bucardo_config SET setting = $2 WHERE name = $1', [name, value]);
  }
  // A trigger of Bucardo's turns settings into lower case, this path among them, so it is kept from firing.
  await client.query(`SET LOCAL session_replication_role = 'replica'`);
  await client.query(`UPDATE bucardo.bucardo_config SET setting = $1 WHERE name = 'piddir'`, [pidDirectory(host)]);
  await client.query(`SET LOCAL session_replication_role = 'origin'`);
}

async function addEnds(client: Client): Promise<void> {
  await client.query('INSERT INTO bucardo.dbgroup (name) VALUES ($1)', [dbgroupName]);
  for (const [name, role] of [
    [SOURCE, 'source'],
    [TARGET, 'target'],
  ]) {
    await client.query(
      'INSERT INTO bucardo.db (name, dbservice, dbhost, dbport, dbname, dbuser) VALUES ($1, $1, NULL, NULL, NULL, NULL)',
      [name],
    );
    await client.query('INSERT INTO bucardo.dbmap (db, dbgroup, role) VALUES ($1, $2, $3)', [name, dbgroupName, role]);
  }
}

async function addRelations(client: Client, sync: string, relations: readonly Relation[]): Promise<void> {
  await client.query('INSERT INTO bucardo.herd (name) VALUES ($1)', [sync]);
  for (const relation of relations) {
    const { rows } = await client.query(
      sql`
        INSERT INTO bucardo.goat (db, schemaname, tablename, reltype, autokick, strict_checking)
        VALUES ($1, $2, $3, 'table', false, false) RETURNING id`,
      [SOURCE, relation.schema, relation.name],
    );
    const { id } = rows[0] as { id: number };
    await client.query('INSERT INTO bucardo.herdmap (herd, goat) VALUES ($1, $2)', [sync, id]);
    if (relation.columns.some((column) => column.generated)) {
      const clause = `SELECT ${identList(copiedColumns(relation).map((column) => column.name))}`;
      await client.query('INSERT INTO bucardo.customcols (goat, clause) VALUES ($1, $2)', [id, clause]);
    }
  }
}
