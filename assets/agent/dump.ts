import { existsSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from 'pg';
import { prepareServices, startTool } from './archive/client-tools';
import { dumpOptions } from './archive/schema-dump';
import { checkCapture } from './capture/check';
import { readRelations, type Relation } from './catalog/relations';
import type { Context } from './context';
import { compressOption, requireCompression } from './dump/compression';
import { damageOf, rememberFiles } from './dump/damage';
import { explainDump } from './dump/explain';
import { connectToFork, DUMPED_OIDS_FACT, requireFork } from './dump/fork';
import { DUMP_SESSIONS, holdWhilePaused } from './dump/hold';
import { dumpBytes, freeBytes, size } from './dump/disk';
import { Failure } from './errors';
import type { Phase, PhaseOutcome } from './phase';

/** Writes the source's rows to files on the host, once every change is being captured. */
export const dump: Phase = {
  name: 'dump',
  after: ['capture'],
  once: true,
  braked: true,
  // A dump that restore cannot read, or that somebody removed, is taken anew as long as rows are missing.
  holds: async (context) =>
    (await context.state.phase('restore'))?.status === 'succeeded' ||
    (await damageOf(context, rowArchive(context.config.host.stateDirectory))) === undefined,
  run: (context) => dumpRows(context),
};

/** What a dump asks of the outside; replaced in tests. */
export interface DumpProbes {
  /** Relations whose changes are not captured, one line each. */
  readonly checkCapture: (context: Context, source: Client) => Promise<string[]>;
  readonly freeBytes: (path: string) => Promise<number>;
}

/** The directory with the source's rows. */
export const rowArchive = (stateDirectory: string): string => join(stateDirectory, 'dump');

/** What pg_dump -v says of a table; it names no schema, which is good enough for progress. */
const FINISHED = /finished item \d+ TABLE DATA (.*)$/;

/** How often the dump's size is looked at; milliseconds. */
const WATCH_MS = 500;

/** Dumps all rows. A dump that was cut off begins again; one that is complete is kept. */
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
  const damage = existsSync(directory) ? await damageOf(context, directory) : undefined;
  if (damage !== undefined) {
    context.log.warn(`${damage}; it is taken anew`);
    rmSync(directory, { recursive: true, force: true });
  }
  if (!existsSync(directory)) {
    const fork = config.dumpSource && (await connectToFork(context));
    if (fork) await requireFork(context, source, fork);
    // What an earlier dump of a fork left must not steer the restore of this one.
    else await context.state.setFact(DUMPED_OIDS_FACT, {});
    await clearPartial(context, fork ?? source);
    await requireSpace(context, relations, probes);
    const partial = `${directory}.partial.${process.pid}`;
    try {
      await runDump(context, relations, partial);
    } catch (error) {
      // The host's own PostgreSQL may share this volume, and needs the room at once.
      rmSync(partial, { recursive: true, force: true });
      throw await explainDump(context, relations, error);
    }
    await requireCapture(context, source, probes, 'after the dump; remove the cause, start capture, then dump again');
    await rememberFiles(context, partial);
    renameSync(partial, directory);
  }
  const bytes = bytesBelow(directory);
  return {
    message: `${relations.length} tables dumped, ${size(bytes)}`,
    result: { tables: relations.length, bytes },
  };
}

/** A change that nobody recorded while its table was dumped would be lost, so the phase stops by the table's name. */
async function requireCapture(context: Context, source: Client, probes: DumpProbes, when: string): Promise<void> {
  const problems = await probes.checkCapture(context, source);
  if (problems.length === 0) return;
  const shown = problems.slice(0, 5).join('; ');
  const more = problems.length > 5 ? ` and ${problems.length - 5} more` : '';
  throw new Failure(`changes are not captured ${when}: ${shown}${more}`);
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

/** Removes what a killed dump left: its files, and its sessions on the server that is dumped, which would go on holding a snapshot. */
async function clearPartial(context: Context, dumped: Client): Promise<void> {
  const { stateDirectory } = context.config.host;
  for (const name of readdirSync(stateDirectory)) {
    if (name.startsWith('dump.partial')) rmSync(join(stateDirectory, name), { recursive: true, force: true });
  }
  await dumped.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE application_name = $1 AND usename = current_user AND datname = current_database()`,
    [DUMP_SESSIONS],
  );
}

async function runDump(context: Context, relations: readonly Relation[], directory: string): Promise<void> {
  const { config, progress, log } = context;
  const end = config.dumpSource ? 'dumpSource' : 'source';
  await prepareServices(context, [end]);
  const args = [
    '--data-only',
    '--format=directory',
    `--jobs=${config.dump.jobs}`,
    compressOption(config.dump.compression),
    `--file=${directory}`,
    '--verbose',
    ...dumpOptions(context),
  ];
  const waiting = [...relations];
  let tables = 0;
  let finished = 0;
  const run = startTool(config, 'pg_dump', args, {
    end,
    onLine: (line) => {
      const name = FINISHED.exec(line)?.[1];
      const index = waiting.findIndex((relation) => relation.name === name);
      if (index < 0) return;
      tables += 1;
      finished += waiting.splice(index, 1)[0]?.bytes ?? 0;
    },
  });
  run.child.stdout?.resume();
  const total = relations.reduce((sum, relation) => sum + relation.bytes, 0);
  progress.restart();
  const hold = holdWhilePaused(context, run.child);
  const watch = setInterval(() => {
    const written = existsSync(directory) ? bytesBelow(directory) : 0;
    progress.report(
      Math.min(Math.max(written, finished), total),
      total,
      'bytes',
      `${tables} of ${relations.length} tables`,
    );
  }, WATCH_MS);
  try {
    await run.done;
  } catch (error) {
    throw hold.failure ?? error;
  } finally {
    hold.end();
    clearInterval(watch);
  }
  log.info({ tables, bytes: bytesBelow(directory) }, 'dumped');
}

function bytesBelow(directory: string): number {
  let bytes = 0;
  for (const name of readdirSync(directory)) {
    bytes += statSync(join(directory, name), { throwIfNoEntry: false })?.size ?? 0;
  }
  return bytes;
}
