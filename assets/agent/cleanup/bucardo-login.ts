import type { Client } from 'pg';
import { BUCARDO_LOGIN } from '../bucardo/names';
import { isGone } from '../catalog/gone';
import { Failure, oneLine } from '../errors';
import { inTransaction } from '../schema/tried';
import { ident, qualified, sql } from '../sql';
import { isConcurrentChange } from './concurrently';

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

/** How often it is gone through what is left. */
const ROUNDS = 3;

/** Of what somebody else has for himself, by its lock or its row of the catalogs. */
const isTaken = (error: unknown): boolean => (error as { code?: string }).code === '55P03' || isConcurrentChange(error);

/** A table that was dropped meanwhile, or its schema, took its rights along; DROP OWNED tries one that is locked. */
const unlessLeft = (error: unknown): void => {
  if (!isGone(error) && !isTaken(error)) throw error;
};

/**
 * Drops Bucardo's login on the target, with all rights of it. Those on tables go one by one under a lock that shuts out
 * only who has the table for itself: REVOKE and DROP OWNED take none, and fail with "tuple concurrently updated" beside
 * a TRUNCATE of the application, which writes the table's row of pg_class as well. Throws Failure with the tables left.
 *
 * @param lockTimeoutMs how long each table is waited for; milliseconds
 */
export async function dropBucardoLogin(target: Client, lockTimeoutMs = LOCK_TIMEOUT_MS): Promise<void> {
  const known = await target.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [BUCARDO_LOGIN]);
  if (known.rowCount === 0) return;
  const role = ident(BUCARDO_LOGIN);
  const gently = (...statements: string[]): Promise<void> =>
    inTransaction(target, async () => {
      await target.query(`SET LOCAL lock_timeout = ${lockTimeoutMs}`);
      for (const statement of statements) await target.query(statement);
    });
  for (let round = 1; ; round += 1) {
    for (const table of await granted(target)) {
      const lock = `LOCK TABLE ONLY ${table} IN ACCESS SHARE MODE`;
      await gently(lock, `REVOKE ALL ON ${table} FROM ${role}`).catch(unlessLeft);
    }
    try {
      return await gently(`DROP OWNED BY ${role}`, `DROP ROLE ${role}`);
    } catch (error) {
      if (!isTaken(error)) throw error;
      if (round < ROUNDS) continue;
      const tables = (await granted(target)).join(', ');
      throw new Failure(
        `target role ${role} cannot be dropped: ${oneLine(error)}; somebody has ${tables || 'an object'} for himself; end that, or wait, and start cleanup again`,
        { cause: error },
      );
    }
  }
}

/** Tables that it has rights on, quoted. */
async function granted(target: Client): Promise<string[]> {
  const { rows } = await target.query(GRANTED, [BUCARDO_LOGIN]);
  return (rows as { schema: string; name: string }[]).map(({ schema, name }) => qualified(schema, name));
}
