import type { Relation } from '../catalog/relations';
import type { Context } from '../context';
import { largestRow } from '../copy/largest-row';
import { Failure, oneLine } from '../errors';

const FULL = /No space left on device/;
const TOO_LONG = /invalid memory alloc request size|Cannot enlarge string buffer/;

/** How pg_dump tells which table it was at; it quotes names where it must. */
const STATEMENT = /Command was: COPY (.+?) \(/;

/**
 * What pg_dump said, with the way on where that is known; and the row at fault, where one is longer than a server can take.
 *
 * @param relations those that were to be dumped
 */
export async function explainDump(context: Context, relations: readonly Relation[], error: unknown): Promise<unknown> {
  const words = oneLine(error);
  if (FULL.test(words)) {
    const cure = `the volume of ${context.config.host.stateDirectory} is full; what was written of the dump is removed; enlarge that volume`;
    return new Failure(`${words}; ${cure}, then start dump again`, { cause: error });
  }
  if (!TOO_LONG.test(words)) return error;
  const row = await longestRow(context, relations, words).catch(() => undefined);
  const cure =
    'a row of that table is longer than 1 GB as text, which neither dump, catch-up nor verify can take; make it smaller, or keep that value in parts';
  return new Failure(`${words}${row === undefined ? '' : ` (${row})`}; ${cure}, then start dump again`, {
    cause: error,
  });
}

async function longestRow(
  context: Context,
  relations: readonly Relation[],
  words: string,
): Promise<string | undefined> {
  const name = STATEMENT.exec(words)?.[1]?.replaceAll('"', '');
  const relation = relations.find((each) => `${each.schema}.${each.name}` === name);
  if (relation === undefined) return undefined;
  const end = context.config.dumpSource ? 'dumpSource' : 'source';
  return context.with(end, (client) => largestRow(client, relation, `ONLY ${relation.sql} AS t`));
}
