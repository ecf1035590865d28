import { existsSync, renameSync, rmSync } from 'node:fs';
import type { Client } from 'pg';
import { checkCapture } from './capture/check';
import { readRelations, type Relation } from './catalog/relations';
import type { Context } from './context';
import { afterwards } from './dump/afterwards';
import { requireCompression } from './dump/compression';
import { damageOf, rememberFiles } from './dump/damage';
import { explainDump, Undumpable, TableWanted } from './dump/explain';
import { connectToFork, DUMPED_OIDS_FACT, requireFork } from './dump/fork';
import { heldBy, rememberHeld } from './dump/held';
import { leftOutOf, rememberLeftOut, type LeftOut } from './dump/left-out';
import { endPartialDump, partialDump, rowArchive } from './dump/partial';
import { bytesBelow, runDump } from './dump/run-dump';
import { dumpBytes, freeBytes, size } from './dump/disk';
import { Failure, oneLine } from './errors';
import { listed } from './failures';
import { copiedRelations } from './lease';
import type { Phase, PhaseOutcome } from './phase';

/** Writes the source's rows to files on the host, once every change is being captured. */
export const dump: Phase = {
  name: 'dump',
  after: ['capture'],
  once: true,
  braked: true,
  // A dump that lacks rows, that restore cannot read, or that somebody removed, is taken anew as long as rows are missing.
  holds: async (context) =>
    (await context.state.phase('restore'))?.status === 'succeeded' ||
    (await reasonToRepeat(context, rowArchive(context.config.host.stateDirectory))) === undefined,
  run: (context) => dumpRows(context),
};

/** What a dump asks of the outside; replaced in tests. */
export interface DumpProbes {
  /** Relations whose changes are not captured, one line each; `among` these, as far as they are still there. */
  readonly checkCapture: (context: Context, source: Client, among?: readonly Relation[]) => Promise<string[]>;
  readonly freeBytes: (path: string) => Promise<number>;
}

/**
 * Dumps all rows that the target lacks. A dump that was cut off begins again; one that is complete is kept. A relation
 * with a row that cannot be read is left out and named, and all else is dumped.
 */
export async function dumpRows(
  context: Context,
  probes: DumpProbes = { checkCapture, freeBytes },
): Promise<PhaseOutcome> {
  const { config } = context;
  const directory = rowArchive(config.host.stateDirectory);
  await requireCompression(config);
  const source = await context.connect('source');
  const relations = await readRelations(source, config);
  await requireCapture(context, source, probes, 'before the dump');
  const reason = existsSync(directory) ? await reasonToRepeat(context, directory) : undefined;
  if (reason !== undefined) {
    context.log.warn(`${reason}; it is taken anew`);
    rmSync(directory, { recursive: true, force: true });
  }
  const restored = await restoredAlready(context);
  const wanted = relations.filter((relation) => !restored.has(relation.sql));
  if (!existsSync(directory)) {
    const fork = config.dumpSource && (await connectToFork(context));
    if (fork) await requireFork(context, source, fork);
    // What an earlier dump of a fork left must not steer the restore of this one.
    else await context.state.setFact(DUMPED_OIDS_FACT, {});
    await endPartialDump(config.host.stateDirectory, fork ?? source);
    await requireSpace(context, wanted, probes);
    await rememberHeld(context, relations);
    const partial = `${partialDump(config.host.stateDirectory)}.${process.pid}`;
    const leftOut = await dumpWhatCanBe(context, relations, wanted, partial);
    try {
      await afterwards(context, async (fresh) => {
        const when = 'after the dump; remove the cause, start capture, then dump again';
        await requireCapture(context, fresh, probes, when, relations);
        await rememberLeftOut(context, leftOut);
        await rememberFiles(context, partial);
      });
    } catch (error) {
      rmSync(partial, { recursive: true, force: true });
      throw error;
    }
    renameSync(partial, directory);
  }
  const bytes = bytesBelow(directory);
  const now = await context.with('source', (fresh) => readRelations(fresh, config));
  const isHeld = await heldBy(context);
  const late = now.filter((relation) => !isHeld(relation)).map(({ sql }) => sql);
  const lacking =
    late.length === 0
      ? ''
      : `; without what was made or renamed meanwhile: ${listed(late)}; restore says how that is brought`;
  const without = Object.entries(await leftOutOf(context));
  const isDumped = (relation: Relation): boolean =>
    isHeld(relation) && !restored.has(relation.sql) && without.every(([name]) => name !== relation.sql);
  const tables = now.filter(isDumped).length;
  const named = without.map(([name, why]) => `; ${name} was left out: ${why}`).join('');
  return {
    message: `${tables} tables dumped, ${size(bytes)}${named}${lacking}`,
    result: { tables, bytes, leftOut: without.map(([name]) => name) },
  };
}

/** Why the dump that is there cannot do for what the target lacks; undefined when it can. */
async function reasonToRepeat(context: Context, directory: string): Promise<string | undefined> {
  const damage = await damageOf(context, directory);
  if (damage !== undefined) return damage;
  const missing = Object.keys(await leftOutOf(context)).join(', ');
  return missing === '' ? undefined : `the dump ${directory} was taken without ${missing}`;
}

/** What the target has already, by quoted name; a dump that is taken anew need not hold it. */
async function restoredAlready(context: Context): Promise<ReadonlyMap<string, number>> {
  try {
    return await context.with('target', copiedRelations);
  } catch (error) {
    context.log.warn(`the target does not tell what it has, so everything is dumped: ${oneLine(error)}`);
    return new Map();
  }
}

/** How often a dump ends because somebody wants a table for himself, until that is called the end. */
const MOST_INTERRUPTED = 3;

/** Dumps what is wanted, without relations that cannot be dumped. Returns those. */
async function dumpWhatCanBe(
  context: Context,
  relations: readonly Relation[],
  wanted: readonly Relation[],
  directory: string,
): Promise<LeftOut> {
  const leftOut = new Map<string, string>();
  let interrupted = 0;
  const restored = relations.filter((relation) => !wanted.includes(relation)).sort((a, b) => b.bytes - a.bytes);
  for (;;) {
    const dumped = wanted.filter(({ sql }) => !leftOut.has(sql));
    const excluded = [...wanted.filter(({ sql }) => leftOut.has(sql)), ...restored];
    try {
      await runDump(context, dumped, excluded, directory);
      return Object.fromEntries(leftOut);
    } catch (error) {
      // The host's own PostgreSQL may share this volume, and needs the room at once.
      rmSync(directory, { recursive: true, force: true });
      const told = await explainDump(context, dumped, error);
      if (told instanceof TableWanted && (interrupted += 1) < MOST_INTERRUPTED) {
        context.log.warn(`the dump begins again: ${told.message}`);
        continue;
      }
      if (!(told instanceof Undumpable)) throw told;
      context.log.warn(`${told.relation.sql} is left out of the dump, which begins again without it: ${told.why}`);
      leftOut.set(told.relation.sql, told.why);
    }
  }
}

/** A change that nobody recorded while its table was dumped would be lost, so the phase stops by the table's name. */
async function requireCapture(
  context: Context,
  source: Client,
  probes: DumpProbes,
  when: string,
  among?: readonly Relation[],
): Promise<void> {
  const problems = await probes.checkCapture(context, source, among);
  if (problems.length === 0) return;
  throw new Failure(`changes are not captured ${when}: ${listed(problems)}`);
}

async function requireSpace(context: Context, relations: readonly Relation[], probes: DumpProbes): Promise<void> {
  const { stateDirectory } = context.config.host;
  const needed = dumpBytes(relations, context.config.dump.compression);
  const free = await probes.freeBytes(stateDirectory);
  await context.evidence('room for the dump', free >= needed, `statfs ${stateDirectory}`, { needed, free });
  if (free >= needed) return;
  throw new Failure(
    `the dump needs about ${needed} bytes (${size(needed)}) in ${stateDirectory}, and ${free} bytes (${size(free)}) are free; enlarge that volume, then start dump again`,
  );
}
