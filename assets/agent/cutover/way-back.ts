import type { Client } from 'pg';
import { CAPTURED_FACT, inspectCapture } from '../capture/check';
import { beginCapture } from '../capture/identity';
import { installCapture } from '../capture/install';
import { CAPTURE_SCHEMA } from '../capture/names';
import { installShared } from '../capture/objects';
import { readRelations, type Relation } from '../catalog/relations';
import { dropCapture } from '../cleanup/source';
import type { Context } from '../context';
import { oneLine } from '../errors';
import { prepareLeases } from '../lease';
import { columnDifferences } from '../schema/same-columns';
import { inTransaction } from '../schema/tried';
import { qualified } from '../sql';
import type { Ends } from '../sync/applier';
import { forgetTables, keepCatalog, knownTables } from '../sync/catalog-watch';
import { turnIdentity } from '../sync/identity';
import { listSequences } from './sequences';
import { missingLine, missingRights } from './way-back-rights';

/** Something that a rollback would leave behind on the target. */
export interface NoGo {
  /** The name under which `cutover.wayBackWithout` acknowledges it. */
  readonly name: string;
  readonly why: string;
}

/** Name of all large objects together. */
const LARGE_OBJECTS = 'large objects';

/**
 * Makes the way back ready while the target is still closed: capture on the target, silent until applications write
 * there, and leases on the source, which is fed by then. May be repeated. Where no way back is wanted, that capture is taken
 * off.
 */
export async function armWayBack(context: Context, { source, target }: Ends): Promise<void> {
  if (context.config.cutover.wayBack === 'none') return disarmWayBack(context, target);
  const back = context.turned();
  const relations = await readRelations(target, back.config);
  await prepareLeases(source, relations);
  await installShared(target);
  await beginCapture(context, target);
  // The target has taken no write since anything was remembered of it.
  await back.state.setFact(CAPTURED_FACT, {});
  await turnIdentity(context);
  const { problems } = await inspectCapture(back, target, relations);
  for (const relation of relations) {
    if (problems.has(relation.sql) && relation.key !== undefined && relation.key.unusable === undefined) {
      await installCapture(back, target, relation);
    }
  }
  const { captured } = await inspectCapture(back, target, relations);
  await back.state.setFact(CAPTURED_FACT, captured);
  await forgetTables(back, await knownTables(back));
  await keepCatalog(back, target);
}

/** What an earlier attempt or cutover has put on the target would note every write there, for nobody and without a limit. */
async function disarmWayBack(context: Context, target: Client): Promise<void> {
  await dropCapture(context, target, CAPTURE_SCHEMA, context.config.capture, context.phase);
  await context.turned().state.setFact(CAPTURED_FACT, {});
}

/** What the gate says. */
export interface WayBackAnswer {
  /** Why the cutover must not begin; absent when it may. */
  readonly block?: string;
  readonly result: unknown;
}

/**
 * Whether all that is written on the target will be able to go back, or is acknowledged not to.
 *
 * @param armed whether `armWayBack` has run; before, what it will install is not missed
 */
export async function wayBackGate(context: Context, { source, target }: Ends, armed: boolean): Promise<WayBackAnswer> {
  const { wayBack, wayBackWithout } = context.config.cutover;
  if (wayBack === 'none') return { result: 'acknowledged: there is no way back once the target takes writes' };
  const refused = await refusedReplica(source);
  if (refused !== undefined) {
    return {
      block: `there would be no way back: the source login may not set session_replication_role (${refused}); give it that right, or acknowledge with agent.cutover.wayBack "none"`,
      result: { refused },
    };
  }
  const back = context.turned();
  const relations = await readRelations(target, back.config);
  const { problems } = await inspectCapture(back, target, relations);
  const all = [...(await noGoes(source, target, context)), ...(armed ? unarmed(problems, relations) : [])];
  const open = all.filter(({ name }) => !wayBackWithout.includes(name));
  const result = { armed, relations: relations.length, acknowledged: wayBackWithout, noGoes: all };
  if (open.length === 0) return { result };
  const named = open.slice(0, 5).map(({ name, why }) => `${why} (${name})`);
  const rest = open.length > 5 ? ` and ${open.length - 5} more` : '';
  return {
    block: `a rollback would leave behind: ${named.join('; ')}${rest}; mend it, or acknowledge by the name in brackets in agent.cutover.wayBackWithout`,
    result,
  };
}

function unarmed(problems: ReadonlyMap<string, string>, relations: readonly Relation[]): NoGo[] {
  const cause = (name: string): string => {
    const unusable = relations.find((relation) => relation.sql === name)?.key?.unusable;
    return unusable === undefined ? '' : `, whose key cannot be used there: ${unusable}`;
  };
  return [...problems].map(([name, why]) => ({ name, why: `${why} on the target${cause(name)}` }));
}

/**
 * Everything on the target that the source cannot take, whatever applications write. A value that only the newer server
 * knows, such as an infinite numeric or interval, shows when it comes.
 */
async function noGoes(source: Client, target: Client, context: Context): Promise<NoGo[]> {
  const [here, there] = [await readRelations(source, context.config), await readRelations(target, context.config)];
  return [
    ...tablesThatStay(here, there),
    ...(await rights(source, context)),
    ...(await sequencesThatStay(source, target, context)),
    ...(await largeObjects(target)),
  ];
}

const rights = async (source: Client, { config }: Context): Promise<NoGo[]> =>
  (await missingRights(source, config)).map((missing) => ({ name: missing.name, why: missingLine(missing) }));

/** Sequences of the target that the source has not: the rollback could not set them there. */
async function sequencesThatStay(source: Client, target: Client, { config }: Context): Promise<NoGo[]> {
  const names = async (client: Client): Promise<string[]> =>
    (await listSequences(client, config)).map(({ schema, name }) => qualified(schema, name));
  const here = new Set(await names(source));
  return (await names(target))
    .filter((name) => !here.has(name))
    .map((name) => ({ name, why: `sequence ${name} is missing on the source` }));
}

/** Tables of the target that the source has not, or has otherwise. */
export function tablesThatStay(source: readonly Relation[], target: readonly Relation[]): NoGo[] {
  return target.flatMap((relation) =>
    columnDifferences([relation], source, 'source', 'target').map((why) => ({ name: relation.sql, why })),
  );
}

async function largeObjects(target: Client): Promise<NoGo[]> {
  const { rows } = await target.query('SELECT count(*)::int AS count FROM pg_largeobject_metadata');
  const { count } = rows[0] as { count: number };
  return count > 0 ? [{ name: LARGE_OBJECTS, why: `${count} large objects are on the target` }] : [];
}

async function refusedReplica(source: Client): Promise<string | undefined> {
  try {
    await inTransaction(source, () => source.query(`SET LOCAL session_replication_role = 'replica'`));
    return undefined;
  } catch (error) {
    return oneLine(error);
  }
}
