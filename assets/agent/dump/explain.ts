import type { Relation } from '../catalog/relations';
import type { Context } from '../context';
import { largestRow } from '../copy/largest-row';
import { Failure, oneLine } from '../errors';
import { DUMP_SESSIONS } from './hold';

const FULL = /No space left on device/;
const TOO_LONG = /invalid memory alloc request size|Cannot enlarge string buffer/;

/** A job of pg_dump does not wait for a table that it begins with, since it would wait for ever: pg_dump itself has it. */
const WANTED = /could not obtain lock on relation/;

/** How pg_dump tells which table it was at; it quotes names where it must. */
const STATEMENT = /Command was: COPY ((?:"(?:[^"]|"")+"|[^".])+)\.((?:"(?:[^"]|"")+"|[^". ])+) \(/;

const CURE =
  'a row of that table is longer than 1 GB as text, which neither dump, catch-up nor verify can take; make it smaller, or keep that value in parts';

/** A row of one relation cannot be dumped. The others can, without it. */
export class RowTooLong extends Failure {
  /** @param why which row it is, and what is to be done with it */
  constructor(
    readonly relation: Relation,
    readonly why: string,
    cause: unknown,
  ) {
    super(`${why}; then start dump again`, { cause });
  }
}

/** Somebody waits to have a table for himself that pg_dump has. Once it has ended he has it, and it may begin again. */
export class TableWanted extends Failure {}

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
  if (WANTED.test(words)) {
    const who = context.brake.waiter(DUMP_SESSIONS) ?? 'somebody';
    return new TableWanted(
      `${words}; ${who} waits to have that table for himself, which several jobs cannot outlast; keep such statements away, or set agent.dump.jobs to 1 or agent.copy.method to 'stream', then start dump again`,
      { cause: error },
    );
  }
  if (!TOO_LONG.test(words)) return error;
  const relation = relationOf(relations, words);
  if (relation === undefined) return new Failure(`${words}; ${CURE}, then start dump again`, { cause: error });
  const end = context.config.dumpSource ? 'dumpSource' : 'source';
  const row = await context
    .with(end, (client) => largestRow(client, relation, `ONLY ${relation.sql} AS t`))
    .catch(() => undefined);
  return new RowTooLong(relation, `${words}${row === undefined ? '' : ` (${row})`}; ${CURE}`, error);
}

function relationOf(relations: readonly Relation[], words: string): Relation | undefined {
  const [schema, name] = (STATEMENT.exec(words) ?? []).slice(1).map(unquoted);
  return relations.find((each) => each.schema === schema && each.name === name);
}

const unquoted = (name: string): string => (name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name);
