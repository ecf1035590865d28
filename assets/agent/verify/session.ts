import type { Client } from 'pg';
import { Failure } from '../errors';
import { hashSettings } from '../row-hash';

/**
 * What comparing sessions fix beside the form of values: one core each, and each chunk by the key's index. Statistics
 * are stale just after a restore, and a plan that reads the whole table for each chunk would never end. Plans without
 * an index carry the planner's penalty, which would start the JIT compiler.
 */
const SETTINGS: Readonly<Record<string, string>> = {
  ...hashSettings,
  search_path: 'pg_catalog',
  max_parallel_workers_per_gather: '0',
  enable_seqscan: 'off',
  jit: 'off',
};

/** Readies both sessions for comparing. Throws Failure where hashes could never agree. */
export async function prepareSessions(source: Client, target: Client): Promise<void> {
  const [from, to] = await Promise.all([prepare(source), prepare(target)]);
  if (from !== to) {
    throw new Failure(
      `source is encoded in ${from} and target in ${to}, so that equal text has unequal hashes; make the target's database with ENCODING '${from}'`,
    );
  }
}

async function prepare(client: Client): Promise<string> {
  const names = Object.keys(SETTINGS);
  const { rows } = await client.query(
    `SELECT current_setting('server_encoding') AS encoding, (SELECT count(set_config(name, value, false))
      FROM unnest($1::text[], $2::text[]) AS s (name, value) WHERE current_setting(name, true) IS NOT NULL) AS set`,
    [names, names.map((name) => SETTINGS[name])],
  );
  return (rows[0] as { encoding: string }).encoding;
}
