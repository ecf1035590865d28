import type { Client } from 'pg';
import { CAPTURED_FACT, triggersOf, type Captured } from '../capture/check';
import { CAPTURE_ID_FACT, captureIdOf } from '../capture/identity';
import { readRelations } from '../catalog/relations';
import type { Context } from '../context';
import { Failure, oneLine } from '../errors';
import { columnDifferences } from '../schema/same-columns';
import { sql } from '../sql';

/**
 * Fact, in the state, of each relation's oid, by quoted name, on the fork that is dumped: a dump names its tables by the
 * oids of the server that it was taken from, and only a copy of the files has the source's.
 */
export const DUMPED_OIDS_FACT = 'dump.oids';

const WAY_ON = 'take the fork after capture succeeded, fill its secret, start dump again';

const IDENTITY = sql`
  SELECT c.system_identifier::text || '/' || d.oid::text AS identity
  FROM pg_control_system() c, pg_database d WHERE d.datname = current_database()`;

/** Which database of which cluster; a fork of the files has the source's. Undefined where the login may not ask. */
async function identityOf(client: Client): Promise<string | undefined> {
  try {
    return ((await client.query(IDENTITY)).rows[0] as { identity: string } | undefined)?.identity;
  } catch {
    return undefined;
  }
}

/** A session on the fork or replica. Throws Failure with the way on when its secret is not filled or it does not answer. */
export async function connectToFork(context: Context): Promise<Client> {
  try {
    return await context.connect('dumpSource');
  } catch (error) {
    throw new Failure(`the dump source cannot be used: ${oneLine(error)}; ${WAY_ON}`);
  }
}

/**
 * Refuses a fork or replica whose rows catch-up could not complete. Whoever holds a relation's triggers holds every row
 * from before them, and the source's queues hold every change since: so an old fork is right, one from before capture, or
 * of an earlier capture, never is. Reads only, since a replica takes nothing else.
 */
export async function requireFork(context: Context, source: Client, fork: Client): Promise<void> {
  const relations = await readRelations(source, context.config);
  const there = await readRelations(fork, context.config);
  const [ours, theirs] = [await identityOf(source), await identityOf(fork)];
  const physical = ours !== undefined && ours === theirs;
  const captured = (await context.state.fact<Captured>(CAPTURED_FACT)) ?? {};
  const triggers = await triggersOf(fork, there, captured);
  const wanted = new Set(relations.map((relation) => relation.sql));
  const [wantedId, foundId] = [await context.state.fact<string>(CAPTURE_ID_FACT), await captureIdOf(fork)];
  const problems = [...columnDifferences(relations, there, 'dump source')];
  for (const relation of there.filter((each) => wanted.has(each.sql))) {
    const found = triggers.get(relation.sql);
    if (found?.problem !== undefined) problems.push(found.problem);
    // Only a copy of the files keeps the triggers' rows: there another one is of an earlier capture, or had a gap.
    else if (physical && found?.isOther !== false)
      problems.push(`${relation.sql} is captured by another trigger than on the source`);
    // A copy of the files that was ever recovered holds unlogged tables without their rows.
    else if (physical && relation.unlogged)
      problems.push(`${relation.sql} is unlogged, and a fork or replica has no row of it`);
  }
  if (foundId === undefined || foundId !== wantedId) {
    const found = foundId === undefined ? 'no complete capture' : `capture ${foundId}`;
    problems.push(`it holds ${found}, and the source's is ${wantedId ?? 'without an id; start capture again'}`);
  }
  await context.evidence('dump source', problems.length === 0, 'requireFork', {
    relations: relations.length,
    physical,
    capture: foundId ?? null,
    problems: problems.slice(0, 20),
  });
  if (problems.length === 0) {
    const oids = Object.fromEntries(there.map(({ sql: name, oid }) => [name, oid]));
    await context.state.setFact(DUMPED_OIDS_FACT, oids);
    return;
  }
  const more = problems.length > 5 ? ` and ${problems.length - 5} more` : '';
  throw new Failure(`the dump source cannot serve: ${problems.slice(0, 5).join('; ')}${more}; ${WAY_ON}`);
}
