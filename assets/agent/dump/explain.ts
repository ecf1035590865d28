import type { Client } from 'pg';
import { copiedColumns, serverVersion, type Relation } from '../catalog/relations';
import type { Context } from '../context';
import { cut, rowsOf } from '../copy/cuts';
import { largestRow } from '../copy/largest-row';
import { UNREADABLE_CURE, unreadableRow } from '../copy/unreadable-row';
import { Failure, oneLine } from '../errors';
import { identList } from '../sql';
import { DUMP_SESSIONS } from './hold';

const FULL = /No space left on device/;

/** A job of pg_dump does not wait for a table that it begins with, since it would wait for ever: pg_dump itself has it. */
const WANTED = /could not obtain lock on relation/;

/** Somebody else than we: what we end it for is told otherwise. */
const KILLED = /^pg_dump was ended by SIG/;

/** How pg_dump tells which table it was at; it quotes names where it must. */
const STATEMENT = /Command was: COPY ((?:"(?:[^"]|"")+"|[^".])+)\.((?:"(?:[^"]|"")+"|[^". ])+) \(/;

/** Why one relation cannot be dumped while others can. */
interface Reason {
  readonly words: RegExp;
  /** What is to be done with the row. */
  readonly cure: string;
  /** Finds that row, in words; undefined where it cannot be told which it is. */
  readonly find?: (context: Context, source: Client, relation: Relation) => Promise<string | undefined>;
}

const REASONS: readonly Reason[] = [
  {
    words: /invalid memory alloc request size|Cannot enlarge string buffer/,
    cure: 'a row of that table is longer than 1 GB as text, which neither dump, catch-up nor verify can take; make it smaller, or keep that value in parts',
    find: (_, source, relation) => largestRow(source, relation, `ONLY ${relation.sql} AS t`),
  },
  {
    words: /invalid byte sequence for encoding|has no equivalent in encoding/,
    cure: UNREADABLE_CURE,
    find: findUnreadable,
  },
  {
    words: /(missing|unexpected) chunk number|invalid page in block|could not read block/,
    cure: 'the files of that table are damaged there; bring back what cannot be read from a backup, or delete it',
  },
];

/** Rows of one relation cannot be dumped. The others can, without it. */
export class Undumpable extends Failure {
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
 * What pg_dump said, with the way on where that is known; and the row at fault, where one cannot be dumped.
 *
 * @param relations those that were to be dumped
 */
export async function explainDump(context: Context, relations: readonly Relation[], error: unknown): Promise<unknown> {
  const words = oneLine(error);
  if (FULL.test(words)) {
    const cure = `the volume of ${context.config.host.stateDirectory} is full; what was written of the dump is removed; enlarge that volume`;
    return new Failure(`${words}; ${cure}, then start dump again`, { cause: error });
  }
  if (KILLED.test(words)) {
    const cure = `the host's kernel log tells whether it lacks memory; if so, set agent.dump.jobs lower or enlarge the host`;
    return new Failure(`${words}; ${cure}, then start dump again`, { cause: error });
  }
  if (WANTED.test(words)) {
    const who = context.brake.waiter(DUMP_SESSIONS) ?? 'somebody';
    return new TableWanted(
      `${words}; ${who} waits to have that table for himself, which several jobs cannot outlast; keep such statements away, or set agent.dump.jobs to 1 or agent.copy.method to 'stream', then start dump again`,
      { cause: error },
    );
  }
  const reason = REASONS.find((each) => each.words.test(words));
  if (reason === undefined) return error;
  const relation = relationOf(relations, words);
  if (relation === undefined) return new Failure(`${words}; ${reason.cure}, then start dump again`, { cause: error });
  const end = context.config.dumpSource ? 'dumpSource' : 'source';
  const row = await context
    .with(end, async (client) => reason.find?.(context, client, relation))
    .catch(() => undefined);
  return new Undumpable(relation, `${words}${row === undefined ? '' : ` (${row})`}; ${reason.cure}`, error);
}

/** Looks in one part after the other, so that neither a lock nor a snapshot of ours is held for long. */
async function findUnreadable(context: Context, source: Client, relation: Relation): Promise<string | undefined> {
  const columns = identList(copiedColumns(relation).map(({ name }) => name));
  const version = await serverVersion(source);
  for (const part of await cut(source, relation, version, context.config.copy.chunkMegabytes * 1_000_000)) {
    await context.brake.clear();
    const row = await unreadableRow(source, relation, rowsOf(relation, columns, part, version));
    if (row !== undefined) return row;
  }
  return undefined;
}

function relationOf(relations: readonly Relation[], words: string): Relation | undefined {
  const [schema, name] = (STATEMENT.exec(words) ?? []).slice(1).map(unquoted);
  return relations.find((each) => each.schema === schema && each.name === name);
}

const unquoted = (name: string): string => (name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name);
