import { pipeline } from 'node:stream/promises';
import { once } from 'node:events';
import type { Client } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { startTool, type ToolRun } from '../archive/client-tools';
import { CopyDecoder } from '../archive/copy-decoder';
import { withList } from '../archive/entry-sql';
import type { TocEntry } from '../archive/toc';
import type { Relation } from '../catalog/relations';
import type { AgentConfig } from '../config';
import { ENCODING_CURES } from '../copy/explain';
import { searchPathCure } from '../copy/search-path';
import { targetPlans } from '../copy/target-plan';
import { DumpDamaged } from '../dump/damage';
import { Failure, oneLine } from '../errors';
import { ROOM_CURES } from '../failures';
import { LeaseLost, type Lease } from '../lease';
import { inTransaction } from '../schema/tried';
import { sql } from '../sql';

/** How long a file is read for damage that explains what the target refused; milliseconds. */
const READ_AGAIN_MS = 60_000;

/** One relation's rows, and where they are in the archive. */
export interface TableCopy {
  readonly relation: Relation;
  readonly entry: TocEntry;
}

/**
 * Brings one relation's rows to the target in one transaction, together with the note that they are there. What an
 * earlier, unfinished way of copying left in the table goes first; rows of somebody else are refused, and not touched.
 * Returns the rows that COPY counted.
 *
 * @param progressed told, now and then, how many more rows went out
 */
export async function copyTable(
  config: AgentConfig,
  target: Client,
  lease: Lease,
  archive: string,
  { relation, entry }: TableCopy,
  progressed: (rows: number) => void,
): Promise<number> {
  try {
    return await inTransaction(target, async () => {
      await target.query(`SET LOCAL session_replication_role = 'replica'`);
      await lease.hold(target, relation);
      const there = await target.query(`SELECT EXISTS (SELECT FROM ONLY ${relation.sql}) AS rows`);
      if ((there.rows[0] as { rows: boolean }).rows) await emptyOwn(target, relation);
      const rows = await withList(config, [entry], (list) => stream(config, target, archive, list, progressed));
      await target.query(
        sql`
          UPDATE ibex.relation SET copied_at = clock_timestamp(), copied_rows = $3
          WHERE schema_name = $1 AND relation_name = $2`,
        [relation.schema, relation.name, rows],
      );
      return rows;
    });
  } catch (error) {
    if (error instanceof DumpDamaged)
      throw new DumpDamaged(`rows of ${relation.sql} cannot be copied: the dump is damaged: ${error.what}`);
    if (error instanceof LeaseLost) throw error;
    const { where } = error as { where?: string };
    const place = isRefused(error) && where !== undefined ? ` (${oneLine(where)})` : '';
    throw new Failure(`rows of ${relation.sql} cannot be copied: ${oneLine(error)}${place}; ${wayOn(error, archive)}`, {
      cause: error,
    });
  }
}

/** Empties a table whose rows another way of copying has begun to bring. This one leaves none behind, or all. */
async function emptyOwn(target: Client, relation: Relation): Promise<void> {
  if (!(await targetPlans(target)).has(relation.sql)) {
    throw new Failure(
      'on the target it holds rows that Ibex did not copy; empty it there (SET session_replication_role = replica; TRUNCATE)',
    );
  }
  await target.query(`TRUNCATE ONLY ${relation.sql}`);
}

/** A value that stands in the dump stays there whatever is done at the source. */
function wayOn(error: unknown, archive: string): string {
  const { code = '' } = error as { code?: string };
  const cure = ENCODING_CURES[code];
  const anew = `remove ${archive}, start dump, then restore; what is restored is kept`;
  if (cure !== undefined) return `${cure}, ${anew}`;
  const again = 'start restore again, it resumes';
  const ownCure = searchPathCure(error) ?? ROOM_CURES[code];
  if (ownCure !== undefined) return `${ownCure}; ${again}`;
  return isRefused(error) ? `if the value is at fault, correct it at the source and ${anew}; else ${again}` : again;
}

async function stream(
  config: AgentConfig,
  target: Client,
  archive: string,
  list: string,
  progressed: (rows: number) => void,
): Promise<number> {
  const run = startTool(config, 'pg_restore', ['--data-only', '-f', '-', '-L', list, archive]);
  const decoder = new CopyDecoder();
  decoder.on('rows', progressed);
  const announced = once(decoder, 'statement') as Promise<[string]>;
  if (!run.child.stdout) throw new Failure('pg_restore has no output');
  const read = pipeline(run.child.stdout, decoder);
  // Whichever of both ends first says why; the other then only says that its stream was closed.
  read.catch(() => undefined);
  try {
    const [statement] = await announced;
    const copy = target.query(copyFrom(statement));
    await pipeline(decoder, copy);
    await read;
    await run.done;
    return copy.rowCount;
  } catch (error) {
    run.child.kill('SIGKILL');
    const damage =
      (await damageIn(run, error)) ?? (isRefused(error) ? await damageOf(config, archive, list) : undefined);
    throw damage ?? error;
  }
}

/** Whether the target would not have these values: a damaged file may have turned into any. */
const isRefused = (error: unknown): boolean => /^2[23]/.test((error as { code?: string }).code ?? '');

/** Has pg_restore read the rows once more, to nowhere: it comes to the damage behind what the target refused. */
async function damageOf(config: AgentConfig, archive: string, list: string): Promise<DumpDamaged | undefined> {
  const run = startTool(config, 'pg_restore', ['--data-only', '-f', '/dev/null', '-L', list, archive]);
  run.child.stdout?.resume();
  const end = setTimeout(() => run.child.kill('SIGKILL'), READ_AGAIN_MS);
  return damageIn(run, undefined).finally(() => clearTimeout(end));
}

/** What pg_restore could not read; undefined when it was the target that gave up, or somebody killed the program. */
async function damageIn(run: ToolRun, error: unknown): Promise<DumpDamaged | undefined> {
  const words = await run.done.then(
    () => (error instanceof Failure ? oneLine(error) : undefined),
    (failure: unknown) => oneLine(failure),
  );
  return words === undefined || isOurEnd(words) ? undefined : new DumpDamaged(words);
}

/**
 * Whether pg_restore only says that it was killed, or that nobody takes its rows any more: that is a broken pipe, or a
 * connection reset when rows stood in it that nobody had read.
 */
export const isOurEnd = (words: string): boolean =>
  / was ended by |Broken pipe|could not write to output file/.test(words);
