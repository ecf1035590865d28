import type { Client } from 'pg';
import { ident } from '../sql';
import type { ForeignOwner } from './source-roles';

/**
 * Runs work during which every owner may create in the schemas where it owns something: ALTER … OWNER TO demands that
 * of the new owner unless a superuser says it. To be called in a transaction, so that no right outlives the work.
 */
export async function withCreateRights<T>(
  target: Client,
  owners: readonly ForeignOwner[],
  work: () => Promise<T>,
): Promise<T> {
  const given: ForeignOwner[] = [];
  for (const pair of owners) {
    const { rows } = await target.query(
      `SELECT has_schema_privilege($1::name, n.oid, 'CREATE') AS has FROM pg_namespace n WHERE n.nspname = $2`,
      [pair.owner, pair.schema],
    );
    const found = rows[0] as { has: boolean } | undefined;
    if (found === undefined || found.has) continue;
    await target.query(`GRANT CREATE ON SCHEMA ${ident(pair.schema)} TO ${ident(pair.owner)}`);
    given.push(pair);
  }
  const result = await work();
  for (const pair of given.filter((pair) => !pair.granted)) {
    await target.query(`REVOKE CREATE ON SCHEMA ${ident(pair.schema)} FROM ${ident(pair.owner)}`);
  }
  return result;
}
