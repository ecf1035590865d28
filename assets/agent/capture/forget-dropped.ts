import { rmSync } from 'node:fs';
import type { Client } from 'pg';
import { applicationEntries } from '../archive/post-data';
import { markRestored, prepareRestored, unrestored } from '../archive/restored';
import { dumpSchema, schemaArchive } from '../archive/schema-dump';
import { identityOf, readToc } from '../archive/toc';
import type { Context } from '../context';
import { prepareTargetPlan } from '../copy/target-plan';
import { Failure } from '../errors';
import { inTransaction } from '../schema/tried';
import { CONSTRAINTS_FACT } from '../sync';
import type { Ends } from '../sync/applier';
import { forgetTables, knownTables } from '../sync/catalog-watch';
import { QUOTED_NAME } from '../sql';
import { DirtyKeys } from '../verify/dirty/dirty-keys';
import { CAPTURED_FACT, type Captured } from './check';

/**
 * Forgets the tables that were dropped on both ends since they were captured: they have no rows to lose. What applies
 * changes is to be started anew without them. Returns their quoted names; throws Failure for one that the target still
 * has. Killed anywhere it may be repeated: what knows of them last is forgotten last.
 *
 * @param phase to be started again once the target is like the source
 */
export async function forgetDropped(context: Context, { source, target }: Ends, phase: string): Promise<string[]> {
  const captured = (await context.state.fact<Captured>(CAPTURED_FACT)) ?? {};
  const known = [...new Set([...Object.keys(captured), ...(await knownTables(context))])];
  const dropped = await absent(source, known);
  if (dropped.length === 0) return [];
  const gone = await absent(target, dropped);
  const left = dropped.filter((name) => !gone.includes(name));
  if (left.length > 0) {
    throw new Failure(
      `${left.join(', ')} ${left.length === 1 ? 'was' : 'were'} dropped or renamed on the source; drop it on the target too, or rename it there and empty it, then start ${phase} again`,
    );
  }
  await context.state.setFact(CONSTRAINTS_FACT, false);
  await forgetEntries(context, source, target);
  await forgetCopies(target, dropped);
  const dirty = await DirtyKeys.open(context);
  await dirty.forgetTables(dropped).finally(() => dirty.close());
  const kept = Object.entries(captured).filter(([name]) => !dropped.includes(name));
  await context.state.setFact(CAPTURED_FACT, Object.fromEntries(kept));
  await forgetTables(context, dropped);
  context.log.warn({ dropped }, 'dropped on both ends, and forgotten');
  return dropped;
}

/** Those of the names under which the database has nothing. */
async function absent(client: Client, names: readonly string[]): Promise<string[]> {
  const { rows } = await client.query(
    'SELECT name FROM unnest($1::text[]) AS t (name) WHERE to_regclass(name) IS NULL',
    [names],
  );
  return (rows as { name: string }[]).map(({ name }) => name);
}

/** What the archive holds of objects that are no more is not to be made: it counts as made. */
async function forgetEntries(context: Context, source: Client, target: Client): Promise<void> {
  const { config } = context;
  await prepareRestored(target);
  const postData = await readToc(config, schemaArchive(config.host.stateDirectory), 'post-data');
  const missing = await unrestored(target, await applicationEntries(source, postData));
  if (missing.length === 0) return;
  const fresh = await dumpSchema(context);
  const present = new Set((await readToc(config, fresh, 'post-data')).map(identityOf));
  rmSync(fresh);
  const undefinedNow = missing.filter((entry) => !present.has(identityOf(entry))).map(({ key }) => key);
  if (undefinedNow.length > 0) await markRestored(target, ...undefinedNow);
}

/** A table that is made again under such a name has no rows yet. */
async function forgetCopies(target: Client, names: readonly string[]): Promise<void> {
  await prepareTargetPlan(target);
  await inTransaction(target, async () => {
    for (const table of ['ibex.chunk', 'ibex.copy_plan', 'ibex.relation']) {
      await target.query(`DELETE FROM ${table} WHERE ${QUOTED_NAME} = ANY ($1)`, [names]);
    }
  });
}
