import type { Client } from 'pg';
import type { Relation } from '../catalog/relations';
import { Failure } from '../errors';
import { listed } from '../failures';
import { inTransaction, tried } from '../schema/tried';
import { ident, sql } from '../sql';
import { BUCARDO_LOGIN } from './names';

/** What refuses a session that asks for all rows, unless its login is above row security, or as the owner where that is not forced. */
const REFUSING = sql`
  SELECT format('%I.%I', n.nspname, c.relname) AS name, pg_get_userbyid(c.relowner) AS owner,
    c.relforcerowsecurity AS forced
  FROM unnest($2::name[], $3::name[]) AS r (schema, name)
  JOIN pg_namespace n ON n.nspname = r.schema
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = r.name
  JOIN pg_roles b ON b.rolname = $1
  WHERE c.relrowsecurity AND NOT b.rolsuper AND NOT b.rolbypassrls
    AND (c.relforcerowsecurity OR NOT pg_has_role(b.oid, c.relowner, 'USAGE'))
  ORDER BY 1`;

/** A table that Bucardo's login cannot write. */
interface Refusing {
  readonly name: string;
  readonly owner: string;
  /** Whether its owner is refused, too. */
  readonly forced: boolean;
}

/**
 * Lets Bucardo's login pass the row security of these relations, where they have any: by BYPASSRLS, which only a superuser
 * may give, or from PostgreSQL 16 on a login that has it itself; else as a member of their owners, which RDS allows. Throws
 * Failure that names what would refuse it still.
 */
export async function passRowSecurity(target: Client, relations: readonly Relation[]): Promise<void> {
  const refusing = await refusingOf(target, relations);
  if (refusing.length === 0) return;
  const role = ident(BUCARDO_LOGIN);
  await inTransaction(target, async () => {
    const refused = await tried(target, `ALTER ROLE ${role} BYPASSRLS`);
    if (refused === undefined) return;
    const causes = [refused];
    for (const owner of new Set(refusing.flatMap((table) => (table.forced ? [] : [table.owner])))) {
      const cause = await tried(target, `GRANT ${ident(owner)} TO ${role}`);
      if (cause !== undefined) causes.push(cause);
    }
    const left = (await refusingOf(target, relations)).map(({ name }) => name);
    if (left.length === 0) return;
    throw new Failure(
      `row security of ${listed(left)} would refuse role ${role} on the target (${causes.join('; ')}); as one who may, give it BYPASSRLS there, or make it a member of their owners`,
    );
  });
}

async function refusingOf(target: Client, relations: readonly Relation[]): Promise<Refusing[]> {
  const schemas = relations.map(({ schema }) => schema);
  const names = relations.map(({ name }) => name);
  return (await target.query(REFUSING, [BUCARDO_LOGIN, schemas, names])).rows as Refusing[];
}
