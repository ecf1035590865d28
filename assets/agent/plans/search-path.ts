import type { Client } from 'pg';
import { sql } from '../sql';

/** What is in force for nobody in particular. */
const DEFAULT = '"$user", public';

const SETTING = sql`
  SELECT substr(c, length('search_path=') + 1) AS path
  FROM pg_db_role_setting s CROSS JOIN unnest(s.setconfig) AS c
  WHERE c LIKE 'search\_path=%'
    AND s.setrole IN (0, coalesce((SELECT oid FROM pg_roles WHERE rolname = $1), 0))
    AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
  ORDER BY s.setrole <> 0 DESC, s.setdatabase <> 0 DESC LIMIT 1`;

/** The search path in which a role's statements find their names in this database, unless its sessions set another. */
export async function searchPathOf(client: Client, role: string): Promise<string> {
  const { rows } = await client.query(SETTING, [role]);
  return (rows[0] as { path: string } | undefined)?.path ?? DEFAULT;
}
