import type { Client } from 'pg';
import { leaveForGood } from '../fence/turn';
import { ident } from '../sql';

/** Relations of ours beside the fence: leases, their generations, what was restored. */
export const OURS = `
  SELECT c.relname AS name, c.relkind = 'S' AS sequence FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = 'ibex' AND c.relkind IN ('r', 'S') ORDER BY c.relkind`;

/** Leaves the fence of an end that was left, for good, and nothing else of ours beside it. */
export async function keepOnlyFence(client: Client): Promise<void> {
  await leaveForGood(client);
  const { rows } = await client.query(OURS);
  for (const { name, sequence } of rows as { name: string; sequence: boolean }[]) {
    await client.query(`DROP ${sequence ? 'SEQUENCE' : 'TABLE'} IF EXISTS ibex.${ident(name)} CASCADE`);
  }
}
