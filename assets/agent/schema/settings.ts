import type { Client } from 'pg';
import { oneLine } from '../errors';
import { ident, sql } from '../sql';
import { tried } from './tried';

/** Settings that would break the migration itself; the operator puts them back afterwards. */
const LEFT_OUT: readonly string[] = ['session_replication_role', 'default_transaction_read_only'];

interface Setting {
  /** Null: holds for every role. */
  readonly role: string | null;
  /** Whether it holds in this database only. */
  readonly here: boolean;
  readonly name: string;
  readonly value: string;
}

const SETTINGS = sql`
  SELECT r.rolname AS role, s.setdatabase <> 0 AS here,
    split_part(c.pair, '=', 1) AS name, substr(c.pair, strpos(c.pair, '=') + 1) AS value
  FROM pg_db_role_setting s
  CROSS JOIN LATERAL unnest(s.setconfig) AS c (pair)
  LEFT JOIN pg_roles r ON r.oid = s.setrole
  WHERE s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
    AND (s.setrole = 0 OR r.rolname = ANY ($1))
  ORDER BY 1 NULLS FIRST, 2, 3`;

/**
 * Copies what ALTER DATABASE … SET and ALTER ROLE … SET left on the source, and the rights on the database and on schema
 * public, for the roles named. To be called in a transaction. Returns what the target refused, one line each.
 */
export async function copySettings(source: Client, target: Client, roles: readonly string[]): Promise<string[]> {
  const { rows } = await source.query(SETTINGS, [roles]);
  const database = await databaseName(target);
  const warnings: string[] = [];
  for (const setting of rows as Setting[]) {
    const of =
      setting.role === null
        ? `DATABASE ${ident(database)}`
        : `ROLE ${ident(setting.role)}${setting.here ? ` IN DATABASE ${ident(database)}` : ''}`;
    const refused = LEFT_OUT.includes(setting.name)
      ? 'it would stop the migration; set it after the cutover'
      : await apply(target, of, setting);
    if (refused !== undefined) warnings.push(`${of} SET ${setting.name} = ${setting.value} was not copied: ${refused}`);
  }
  return [...warnings, ...(await copyRights(source, target, database, roles))];
}

/** FROM CURRENT spares taking apart settings that are lists, such as search_path. */
async function apply(target: Client, of: string, { name, value }: Setting): Promise<string | undefined> {
  const put = `SELECT set_config($1, $2, true)`;
  await target.query('SAVEPOINT setting');
  try {
    const { rows } = await target.query(`SELECT current_setting($1, true) AS value`, [name]);
    const before = (rows[0] as { value: string | null }).value ?? '';
    await target.query(put, [name, value]);
    await target.query(`ALTER ${of} SET ${name.split('.').map(ident).join('.')} FROM CURRENT`);
    await target.query(put, [name, before]);
    await target.query('RELEASE SAVEPOINT setting');
    return undefined;
  } catch (error) {
    await target.query('ROLLBACK TO SAVEPOINT setting');
    return oneLine(error);
  }
}

async function databaseName(client: Client): Promise<string> {
  const { rows } = await client.query('SELECT current_database() AS name');
  return (rows[0] as { name: string }).name;
}

/**
 * Rights on the database and on schema public, the owner's own included: both have another owner on the target, and
 * what an application's login could do as owner it must be able to do as grantee.
 */
const RIGHTS = sql`
  SELECT r.rolname AS role, e.privilege_type AS privilege, e.is_grantable AS grantable, false AS public
  FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) e JOIN pg_roles r ON r.oid = e.grantee
  WHERE d.datname = current_database() AND r.rolname = ANY ($1) AND NOT r.rolsuper
  UNION ALL
  SELECT r.rolname, p.privilege, false, true
  FROM pg_namespace n JOIN pg_database d ON d.datname = current_database() JOIN pg_roles o ON o.oid = n.nspowner
  JOIN pg_roles r ON r.oid = CASE o.rolname WHEN 'pg_database_owner' THEN d.datdba ELSE o.oid END
  CROSS JOIN (VALUES ('CREATE'), ('USAGE')) AS p (privilege)
  WHERE n.nspname = 'public' AND r.rolname = ANY ($1) AND NOT r.rolsuper
  ORDER BY 1, 4, 2`;

interface Right {
  readonly role: string;
  readonly privilege: string;
  readonly grantable: boolean;
  readonly public: boolean;
}

async function copyRights(
  source: Client,
  target: Client,
  database: string,
  roles: readonly string[],
): Promise<string[]> {
  const { rows } = await source.query(RIGHTS, [roles]);
  const warnings: string[] = [];
  for (const right of rows as Right[]) {
    const on = right.public ? 'SCHEMA public' : `DATABASE ${ident(database)}`;
    const option = right.grantable ? ' WITH GRANT OPTION' : '';
    const grant = `GRANT ${right.privilege} ON ${on} TO ${ident(right.role)}${option}`;
    const refused = await tried(target, grant);
    if (refused !== undefined) warnings.push(`${grant} was refused: ${refused}`);
  }
  return warnings;
}
