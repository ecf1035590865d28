import type { Client } from 'pg';
import { BUCARDO_LOGIN } from '../bucardo/names';
import { inTransaction } from '../schema/tried';
import { ident, qualified, sql } from '../sql';

const GRANTED = sql`
  SELECT n.nspname AS schema, c.relname AS name
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p') AND EXISTS (
    SELECT FROM aclexplode(c.relacl) e JOIN pg_roles r ON r.oid = e.grantee WHERE r.rolname = $1
  )
  ORDER BY 1, 2`;

/** How long a table is waited for, which is in nobody's way but that of who wants it for himself; milliseconds. */
const LOCK_TIMEOUT_MS = 10_000;

/** A table that was dropped meanwhile, or its schema, took its rights along; DROP OWNED tries one that is locked. */
const unlessLeft = (error: unknown): void => {
  if (!['42P01', '3F000', '55P03'].includes((error as { code?: string }).code ?? '')) throw error;
};

/**
 * Drops Bucardo's login on the target, with all rights of it. Those on tables go one by one under a lock that shuts out
 * only who has the table for itself: REVOKE and DROP OWNED take none, and fail with "tuple concurrently updated" beside
 * a TRUNCATE of the application, which writes the table's row of pg_class as well.
 *
 * @param lockTimeoutMs how long each table is waited for; milliseconds
 */
export async function dropBucardoLogin(target: Client, lockTimeoutMs = LOCK_TIMEOUT_MS): Promise<void> {
  const known = await target.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [BUCARDO_LOGIN]);
  if (known.rowCount === 0) return;
  const role = ident(BUCARDO_LOGIN);
  const { rows } = await target.query(GRANTED, [BUCARDO_LOGIN]);
  for (const { schema, name } of rows as { schema: string; name: string }[]) {
    const table = qualified(schema, name);
    await inTransaction(target, async () => {
      await target.query(`SET LOCAL lock_timeout = ${lockTimeoutMs}`);
      await target.query(`LOCK TABLE ONLY ${table} IN ACCESS SHARE MODE`);
      await target.query(`REVOKE ALL ON ${table} FROM ${role}`);
    }).catch(unlessLeft);
  }
  await target.query(`DROP OWNED BY ${role}`);
  await target.query(`DROP ROLE ${role}`);
}
