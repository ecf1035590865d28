import type { Client } from 'pg';
import type { Relation } from '../catalog/relations';
import { isExcluded } from '../catalog/schemas';
import { takeOff } from '../cleanup/source';
import type { Context } from '../context';
import { Failure } from '../errors';
import { listed } from '../failures';
import { qualified, sql } from '../sql';
import { CAPTURED_FACT, leftOutNow, type Captured } from './check';
import { CAPTURE_SCHEMA, deltaName, stageName, trackName, truncateName } from './names';

/** A table by its names. */
type Named = Pick<Relation, 'schema' | 'name'>;

/** Tables of these schemas. */
const TABLES = sql`
  SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'r' AND n.nspname = ANY ($1)`;

const QUEUES = sql`
  SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'r' AND n.nspname = $1`;

/**
 * Throws Failure when the settings leave out a table that is captured: its changes would pile up, since nobody applies
 * or forgets them. To be called once rows may have been copied, when its capture cannot just be taken off.
 */
export async function refuseExcluded({ config, state }: Context): Promise<void> {
  const captured = (await state.fact<Captured>(CAPTURED_FACT)) ?? {};
  const lines = Object.keys(captured).flatMap((name) => (isExcluded(config, name) ? [leftOutNow(name)] : []));
  if (lines.length > 0) throw new Failure(`${listed(lines)}, or run cleanup and migrate again`);
}

/**
 * Takes off what capture has made for tables that the settings leave out by now. Returns their quoted names. May be
 * repeated: it goes by what stands on the source.
 *
 * @param relations all that is to be captured
 */
export async function dropExcluded(
  context: Context,
  source: Client,
  relations: readonly Relation[],
): Promise<readonly string[]> {
  const tables = (await source.query(TABLES, [context.config.excludeSchemas ?? []])).rows as Named[];
  const queues = new Set(
    ((await source.query(QUEUES, [CAPTURE_SCHEMA])).rows as { name: string }[]).map((row) => row.name),
  );
  // A table that is captured may have a queue of the same name.
  const kept = new Set(relations.map(({ schema, name }) => deltaName(schema, name)));
  const left = tables.filter(({ schema, name }) => {
    const queue = deltaName(schema, name);
    return queues.has(queue) && !kept.has(queue);
  });
  if (left.length === 0) return [];
  const names = left.map(({ schema, name }) => qualified(schema, name));
  context.log.warn(
    { tables: names },
    'captured before, and left out by agent.excludeSchemas now: that capture is taken off',
  );
  const isLeft = new Set(names);
  await takeOff(context, source, CAPTURE_SCHEMA, 'capture', ({ table }) => isLeft.has(table));
  for (const table of left) await source.query(dropStatements(table));
  return names;
}

const dropStatements = ({ schema, name }: Named): string => {
  const tables = [deltaName, trackName, stageName].map((make) => qualified(CAPTURE_SCHEMA, make(schema, name)));
  const functions = [deltaName, truncateName].map((make) => `${qualified(CAPTURE_SCHEMA, make(schema, name))}()`);
  return `DROP TABLE IF EXISTS ${tables.join(', ')}; DROP FUNCTION IF EXISTS ${functions.join(', ')}`;
};
