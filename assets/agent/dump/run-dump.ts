import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { prepareServices, startTool } from '../archive/client-tools';
import { dumpOptions } from '../archive/schema-dump';
import type { Relation } from '../catalog/relations';
import type { Context } from '../context';
import { compressOption } from './compression';
import { holdWhilePaused } from './hold';

/** What pg_dump -v says of a table; it names no schema, which is good enough for progress. */
const FINISHED = /finished item \d+ TABLE DATA (.*)$/;

/** How often the dump's size is looked at; milliseconds. */
const WATCH_MS = 500;

/**
 * The most tables whose rows pg_dump is told to leave out: it asks the server once for each, and Linux ends its arguments
 * at 2 MB. Of more, some are dumped although nobody needs them.
 */
const MOST_EXCLUDED = 2_000;

/**
 * Runs pg_dump into a directory, with progress, and held by the brake.
 *
 * @param wanted relations whose rows are dumped
 * @param excluded those whose rows are not, as far as arguments have room; what matters most comes first
 */
export async function runDump(
  context: Context,
  wanted: readonly Relation[],
  excluded: readonly Relation[],
  directory: string,
): Promise<void> {
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
    // Quoted names are patterns that match them alone.
    ...excluded.slice(0, MOST_EXCLUDED).map((relation) => `--exclude-table-data=${relation.sql}`),
  ];
  const waiting = [...wanted];
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
  const total = wanted.reduce((sum, relation) => sum + relation.bytes, 0);
  progress.restart();
  const hold = holdWhilePaused(context, run.child, directory);
  const watch = setInterval(() => {
    const written = existsSync(directory) ? bytesBelow(directory) : 0;
    progress.report(
      Math.min(Math.max(written, finished), total),
      total,
      'bytes',
      `${tables} of ${wanted.length} tables`,
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

/** Bytes of the files in a directory. */
export function bytesBelow(directory: string): number {
  let bytes = 0;
  for (const name of readdirSync(directory)) {
    bytes += statSync(join(directory, name), { throwIfNoEntry: false })?.size ?? 0;
  }
  return bytes;
}
