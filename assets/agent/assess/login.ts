import { missingLine, missingRights } from '../cutover/way-back-rights';
import { readLogin } from '../secrets';
import { inTransaction } from '../schema/tried';
import { isApplicationSchema, OWN_SCHEMAS } from '../catalog/schemas';
import { literal, sql } from '../sql';
import { askFor, refusal, warning, type Check, type Finding } from './check';
import type { Client } from 'pg';
import { oneLine } from '../errors';

/**
 * What a login lacks on tables. LOCK TABLE asks for a right to change rows, whichever it is; what the way back needs besides
 * is asked apart.
 *
 * @param tables SQL for which; the schema is `n`
 * @param beside SQL for a further right that may be missing
 */
const missingOn = (version: number, tables: string, beside = 'NULL'): string => sql`
  SELECT format('%I.%I', n.nspname, c.relname) AS name, current_user AS login,
    concat_ws(', ',
      CASE WHEN NOT has_schema_privilege(n.oid, 'USAGE') THEN 'USAGE on its schema' END, ${beside},
      CASE WHEN NOT has_table_privilege(c.oid, 'TRIGGER') THEN 'TRIGGER' END,
      CASE WHEN NOT has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE${version >= 170000 ? ', MAINTAIN' : ''}')
        THEN 'one of UPDATE, DELETE and TRUNCATE (to lock it)' END) AS missing
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND ${tables}
    AND NOT EXISTS (SELECT FROM pg_depend d
      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
  ORDER BY 1`;

/** What capture, dump, fence and sync need on each table that is migrated. */
const TABLE_RIGHTS = (version: number): string =>
  missingOn(
    version,
    isApplicationSchema('n.nspname', '$1'),
    `CASE WHEN NOT has_table_privilege(c.oid, 'SELECT') THEN 'SELECT' END`,
  );

const tableRights = askFor<{ name: string; login: string; missing: string }>(
  'rights on tables',
  'source',
  ({ sourceVersion }) => TABLE_RIGHTS(sourceVersion),
  (row) =>
    row.missing === ''
      ? undefined
      : refusal(`source login "${row.login}" lacks ${row.missing} on ${row.name}; grant it`),
);

/** What the fence of the cutover needs on the others, whose writes it refuses, too. */
const FENCE_RIGHTS = (version: number): string =>
  missingOn(version, `n.nspname = ANY ($1::text[]) AND n.nspname NOT IN (${OWN_SCHEMAS.map(literal).join(', ')})`);

const fenceRights = askFor<{ name: string; login: string; missing: string }>(
  'rights for the fence',
  'source',
  ({ sourceVersion }) => FENCE_RIGHTS(sourceVersion),
  (row) =>
    row.missing === ''
      ? undefined
      : refusal(
          `source login "${row.login}" lacks ${row.missing} on ${row.name}, which is in excludeSchemas, and whose writes the cutover refuses all the same; grant it`,
        ),
);

/** CASE, because the planner may ask has_sequence_privilege of a table otherwise, which is an error. */
const SEQUENCE_RIGHTS = sql`
  SELECT format('%I.%I', n.nspname, c.relname) AS name, current_user AS login
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> ALL ($1::text[])
    AND NOT EXISTS (SELECT FROM pg_depend d
      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    AND CASE c.relkind WHEN 'S' THEN NOT has_sequence_privilege(c.oid, 'SELECT') ELSE false END ORDER BY 1`;

/** Without them the cutover, which arms the way back, does not begin; a login that cannot be given them is told once. */
const wayBackRights: Check = {
  gate: 'rights for the way back',
  run: async ({ context, source }) => {
    const query = 'missingRights';
    if (context.config.cutover.wayBack === 'none') return { query, result: 'no way back is wanted', findings: [] };
    const missing = await missingRights(source, context.config);
    const more = missing.length > NAMED ? `, and ${missing.length - NAMED} more in the evidence` : '';
    const text = `there is no way back after the cutover, which will refuse to begin: ${missing.slice(0, NAMED).map(missingLine).join('; ')}${more}; or acknowledge by agent.cutover.wayBackWithout, or wayBack "none"`;
    return { query, result: missing, findings: missing.length > 0 ? [warning(text)] : [] };
  },
};

/** Missing rights that one warning names. */
const NAMED = 20;

const sequenceRights = askFor<{ name: string; login: string }>(
  'rights on sequences',
  'source',
  SEQUENCE_RIGHTS,
  (row) => refusal(`source login "${row.login}" lacks SELECT on sequence ${row.name}; grant it`),
);

const DATABASE_RIGHTS = sql`
  SELECT current_user AS login, current_database() AS database,
    has_database_privilege(current_database(), 'CREATE') AS "create",
    (SELECT count(*) = 2 AND bool_and(has_schema_privilege(oid, 'CREATE')) FROM pg_namespace
      WHERE nspname IN ('bucardo', 'ibex')) AS prepared`;

const databaseRights = askFor<{ login: string; database: string; create: boolean; prepared: boolean }>(
  'rights on the source database',
  'source',
  DATABASE_RIGHTS,
  ({ login, database, create, prepared }) =>
    create || prepared
      ? undefined
      : refusal(
          `source login "${login}" may not create schemas in ${database}; GRANT CREATE ON DATABASE, or make schemas bucardo and ibex that it owns`,
        ),
);

/** Bucardo retries a failed connection whose message names bucardo as postgres, and makes itself a superuser there. */
const loginName = askFor<{ login: string }>('name of the login', 'source', 'SELECT current_user AS login', (row) =>
  row.login === 'bucardo'
    ? refusal('source login is called bucardo, which misleads Bucardo; use another name')
    : undefined,
);

const REPLICA = `SET LOCAL session_replication_role = 'replica'`;

const refusedReplica = (client: Client): Promise<string | undefined> =>
  inTransaction(client, async () => {
    await client.query(REPLICA);
    return undefined;
  }).catch(oneLine);

/** The target's appliers must run in replica role; the source only for the way back. */
const replicaRole: Check = {
  gate: 'replica role',
  run: async ({ context, source, target }) => {
    const { wayBack } = context.config.cutover;
    const [onSource, onTarget] = [await refusedReplica(source), await refusedReplica(target)];
    const findings: Finding[] = [];
    if (onTarget !== undefined) {
      findings.push(
        refusal(
          `target login may not set session_replication_role (${onTarget}); make it a member of rds_superuser, or GRANT SET ON PARAMETER session_replication_role`,
        ),
      );
    }
    if (onSource !== undefined) {
      findings.push(
        warning(
          `source login may not set session_replication_role (${onSource}): there is no way back after the cutover${wayBack === 'armed' ? ', which will refuse to begin until it may, or agent.cutover.wayBack is "none"' : ''}`,
        ),
      );
    }
    return { query: REPLICA, result: { source: onSource ?? 'allowed', target: onTarget ?? 'allowed' }, findings };
  },
};

const LOGINS = 'SELECT rolname AS name FROM pg_roles WHERE rolcanlogin';

const applicationLogins: Check = {
  gate: 'application logins',
  run: async ({ context, source }) => {
    const logins = Object.entries(context.config.applicationLogins ?? {});
    const known = new Set(((await source.query(LOGINS)).rows as { name: string }[]).map((row) => row.name));
    const findings: Finding[] = [];
    for (const [name, secret] of logins) {
      if (!known.has(name))
        findings.push(refusal(`applicationLogins names "${name}", which is no login of the source; correct it`));
      await readLogin(context.config.secrets, secret).catch((error) => findings.push(refusal(oneLine(error))));
    }
    return { query: LOGINS, result: { logins: logins.map(([name]) => name) }, findings };
  },
};

export const loginChecks: readonly Check[] = [
  loginName,
  tableRights,
  fenceRights,
  sequenceRights,
  wayBackRights,
  databaseRights,
  replicaRole,
  applicationLogins,
];
