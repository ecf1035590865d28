import type { Client } from 'pg';
import { Failure, oneLine } from '../errors';
import { withCreateRights } from '../schema/owner-grants';
import type { ForeignOwner } from '../schema/source-roles';
import { inTransaction, tried } from '../schema/tried';
import { asMember } from './entry-sql';
import type { IndexFirst } from './index-first';
import type { NotValidFirst } from './not-valid-first';
import type { EntryKind, PostDataEntry } from './post-data';
import { markRestored, restoredOf } from './restored';
import { runTasks, type Task } from '../tasks';
import { CATALOG } from './toc';

/** What it takes to make entries of the schema archive on the target. */
export interface EntryMaker {
  /** Sessions on the target, each of which makes one entry at a time. */
  readonly workers: readonly Client[];
  readonly owners: readonly ForeignOwner[];
  /** What the target refused of grants and comments, one line each; added to. */
  readonly warnings: string[];
  /** What makes each entry, by its key. */
  readonly scripts: ReadonlyMap<string, string>;
  /** Those whose index is built first, by their keys. */
  readonly indexesFirst: ReadonlyMap<string, IndexFirst>;
  /** Foreign keys that are validated after all others are made, by their keys. @default none */
  readonly notValidFirst?: ReadonlyMap<string, NotValidFirst>;
  /**
   * Keys of those whose index is sorted within memory. Their table is read from its beginning: rows that lie in the
   * index's order are then sorted at no cost, while larger ones gain more by sharing the read with their neighbours.
   *
   * @default none
   */
  readonly sortedInMemory?: ReadonlySet<string>;
  /** Names, by source's oids, of tables whose rows are of another instant than all others; to be told. @default none */
  readonly restless?: ReadonlyMap<number, string>;
  /** Called after each entry. */
  readonly made: (entry: PostDataEntry) => void;
}

/** Keys of the entries that are made, or of which a first step is, by what was left of that on the target. */
export const begunEntries = (marks: Iterable<string>): Set<string> =>
  new Set([...marks].map((mark) => mark.replace(/^(index of |not valid: )/, '')));

/** How often an entry that met another's locks is tried. */
const DEADLOCK_TRIES = 5;

/** Under which pg_restore's statements mean the same everywhere; one round trip, since there may be thousands of entries. */
const SETTINGS = `SET LOCAL search_path = ''; SET LOCAL client_min_messages = warning; SET LOCAL check_function_bodies = false`;

const FROM_ITS_BEGINNING = 'SET LOCAL synchronize_seqscans = off';

/** Kinds that are made side by side: each takes long, and locks none but its own tables. */
const SIDE_BY_SIDE: readonly EntryKind[] = ['key', 'unique', 'plain index', 'foreign key'];

/** Makes entries in the archive's order, those of a kind that allows it side by side. Each is made once. */
export async function makeEntries(maker: EntryMaker, entries: readonly PostDataEntry[]): Promise<void> {
  const [first] = maker.workers;
  if (first === undefined) return;
  for (const run of runsOf(entries)) {
    const workers = SIDE_BY_SIDE.includes(run[0]?.kind ?? 'other') ? maker.workers : [first];
    await addNotValid(maker, run);
    await runTasks(
      longestFirst(maker, run).map((entry) => entryTask(maker, entry)),
      workers,
    );
  }
}

/**
 * Adds those foreign keys of the list that are validated later. All of them come before the first that is validated, which
 * would keep its table from being referred to.
 */
async function addNotValid(maker: EntryMaker, entries: readonly PostDataEntry[]): Promise<void> {
  const tasks = entries.flatMap((entry): Task<Client>[] => {
    const steps = maker.notValidFirst?.get(entry.key);
    if (!steps) return [];
    const mark = `not valid: ${entry.key}`;
    return [{ needs: entry.tables, run: (worker) => makeEntry(maker, worker, entry, mark, steps.constraint) }];
  });
  await runTasks(tasks, maker.workers);
}

/** The foreign keys that are validated, by the size of their table, then the others in the archive's order. */
function longestFirst({ notValidFirst }: EntryMaker, entries: readonly PostDataEntry[]): readonly PostDataEntry[] {
  if (notValidFirst === undefined || notValidFirst.size === 0) return entries;
  const bytes = ({ key }: PostDataEntry): number => notValidFirst.get(key)?.bytes ?? -1;
  return [...entries].sort((a, b) => bytes(b) - bytes(a));
}

/** Statements that lock a table for themselves, which pg_dump writes below an index: it marks a cluster's or an identity. */
const ALTERS_TABLE = /^ALTER TABLE /m;

/** An entry as work for a session on the target. Indexes of one table are built side by side. */
export function entryTask(maker: EntryMaker, entry: PostDataEntry): Task<Client> {
  const { tables, key } = entry;
  const validated = maker.notValidFirst?.get(key);
  const steps = maker.indexesFirst.get(key);
  const make = async (worker: Client, statements?: string): Promise<void> => {
    await makeEntry(maker, worker, entry, key, statements ?? scriptOf(maker, entry));
    maker.made(entry);
  };
  // The table that it refers to is locked as any query locks it, which only its removal would wait for.
  if (validated) return { needs: [validated.table], run: (worker) => make(worker, validated.validation) };
  if (steps) {
    const constraint: Task<Client> = { needs: tables, run: (worker) => make(worker, steps.constraint) };
    const run = (worker: Client): Promise<void> => makeEntry(maker, worker, entry, `index of ${key}`, steps.index);
    return { needs: [], shares: tables, run: (worker) => run(worker).then(() => constraint) };
  }
  const run = (worker: Client): Promise<void> => make(worker);
  const isIndex = entry.classOid === CATALOG.class && !ALTERS_TABLE.test(maker.scripts.get(key) ?? '');
  return isIndex ? { needs: [], shares: tables, run } : { needs: tables, run };
}

/** Cuts the list where the kind of work changes, so that what comes later may rest on what comes before. */
function runsOf(entries: readonly PostDataEntry[]): PostDataEntry[][] {
  const group = (entry: PostDataEntry): string =>
    entry.kind === 'other' || entry.kind === 'foreign key' ? entry.kind : 'index';
  const runs: PostDataEntry[][] = [];
  for (const entry of entries) {
    const last = runs.at(-1);
    if (last?.[0] !== undefined && group(last[0]) === group(entry)) last.push(entry);
    else runs.push([entry]);
  }
  return runs;
}

/** Makes an entry, or a step of it, once, with a mark in the same transaction. */
async function makeEntry(
  maker: EntryMaker,
  target: Client,
  entry: PostDataEntry,
  mark: string,
  script: string,
): Promise<void> {
  const transaction = (): Promise<void> =>
    inTransaction(target, async () => {
      const fromItsBeginning = maker.sortedInMemory?.has(entry.key) === true;
      await target.query(fromItsBeginning ? `${SETTINGS}; ${FROM_ITS_BEGINNING}` : SETTINGS);
      if ((await restoredOf(target, [mark])).has(mark)) return;
      await runScript(maker, target, entry, script);
      await markRestored(target, mark);
    });
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await transaction();
    } catch (error) {
      // Partitions are locked with their table, which the catalog's one line per key does not tell.
      const deadlock = (error as { code?: string }).code === '40P01';
      if (!deadlock || attempt >= DEADLOCK_TRIES) throw explain(maker, entry, error);
    }
  }
}

async function runScript(
  { owners, warnings }: EntryMaker,
  target: Client,
  entry: PostDataEntry,
  script: string,
): Promise<void> {
  if (entry.classOid === 0 && entry.text.startsWith('ACL ')) {
    const refused = await tried(target, asMember(script));
    if (refused !== undefined) warnings.push(`${entry.text} was refused: ${refused}`);
    return;
  }
  const run = async (): Promise<void> => void (await target.query(script));
  await (script.includes(' OWNER TO ') ? withCreateRights(target, owners, run) : run());
}

/**
 * All that is to be made of one small relation as one piece of work, in one transaction: of thousands of them the
 * commits would take longer than the work. Fails as a whole, and then tells of none by name.
 *
 * @param relation quoted name, whose statistics are computed too
 */
export function relationTask(maker: EntryMaker, relation: string, entries: readonly PostDataEntry[]): Task<Client> {
  const keys = entries.map(({ key }) => key);
  const run = async (target: Client): Promise<void> => {
    await inTransaction(target, async () => {
      await target.query(SETTINGS);
      const there = await restoredOf(target, keys);
      const left = entries.filter(({ key }) => !there.has(key));
      for (const entry of left) await runScript(maker, target, entry, scriptOf(maker, entry));
      await markRestored(target, ...left.map(({ key }) => key));
      // What an expression calls is to be found as the application finds it.
      await target.query(`SET LOCAL search_path TO DEFAULT; ANALYZE ${relation}`);
    });
    entries.forEach(maker.made);
  };
  return { needs: [...new Set(entries.flatMap(({ tables }) => tables))], run };
}

function scriptOf({ scripts }: EntryMaker, entry: PostDataEntry): string {
  const script = scripts.get(entry.key);
  if (script === undefined) throw new Failure(`${entry.text} was not read from the archive; start again`);
  return script;
}

/** Codes of a target that refuses an index or a constraint for what rows hold; the last one for a single row. */
const TOO_LARGE = '54000';
const REFUSED_FOR_ROWS = /^(23503|23505|23P01|54000)$/;

/** Before changes are applied: what is corrected at the source does not come by itself. */
const CORRECT_BOTH =
  'the source holds such rows too, behind a corrupt index where a key is held twice: correct them there, and REINDEX; correct them on the target by hand (SET session_replication_role = replica); then start this phase again';

const CORRECT_SOURCE =
  "the source has such rows too, or the target's differ: correct them at the source, where an UPDATE that changes nothing has a row brought anew; then start this phase again, which applies that first";

const keepStill = (name: string): string =>
  `${name} was truncated or rewritten (VACUUM FULL, CLUSTER, ALTER TABLE) in each closing round, so that its rows are of another instant than the others': keep that away meanwhile, then start this phase again`;

function explain({ restless }: EntryMaker, entry: PostDataEntry, error: unknown): Failure {
  const { code = '', detail } = error as { code?: string; detail?: string };
  const text = `${entry.text} cannot be made on the target: ${oneLine(error)}${detail === undefined ? '' : ` (${detail})`}`;
  return new Failure(`${text}; ${cureOf(entry, code, restless)}`, { cause: error });
}

function cureOf({ kind, tables }: PostDataEntry, code: string, restless: EntryMaker['restless']): string {
  if (!REFUSED_FOR_ROWS.test(code)) return 'correct that and start again';
  const name = tables.map((table) => restless?.get(table)).find((each) => each !== undefined);
  if (name !== undefined && code !== TOO_LARGE) return keepStill(name);
  return kind === 'key' || kind === 'plain index' ? CORRECT_BOTH : CORRECT_SOURCE;
}
