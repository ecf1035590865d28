import type { Client } from 'pg';
import { Failure, oneLine } from '../errors';
import { withCreateRights } from '../schema/owner-grants';
import type { ForeignOwner } from '../schema/source-roles';
import { inTransaction, tried } from '../schema/tried';
import { asMember } from './entry-sql';
import type { EntryKind, PostDataEntry } from './post-data';
import { markRestored } from './restored';
import { runTasks, type Task } from './tasks';

/** What it takes to make entries of the schema archive on the target. */
export interface EntryMaker {
  /** Sessions on the target, each of which makes one entry at a time. */
  readonly workers: readonly Client[];
  readonly owners: readonly ForeignOwner[];
  /** What the target refused of grants and comments, one line each; added to. */
  readonly warnings: string[];
  /** What makes each entry, by its key. */
  readonly scripts: ReadonlyMap<string, string>;
  /** Called after each entry. */
  readonly made: (entry: PostDataEntry) => void;
}

/** How often an entry that met another's locks is tried. */
const DEADLOCK_TRIES = 5;

/** Under which pg_restore's statements mean the same everywhere; one round trip, since there may be thousands of entries. */
const SETTINGS = `SET LOCAL search_path = ''; SET LOCAL client_min_messages = warning; SET LOCAL check_function_bodies = false`;

/** Kinds that are made side by side: each takes long, and locks none but its own tables. */
const SIDE_BY_SIDE: readonly EntryKind[] = ['key', 'unique', 'plain index', 'foreign key'];

/** Makes entries in the archive's order, those of a kind that allows it side by side. Each is made once. */
export async function makeEntries(maker: EntryMaker, entries: readonly PostDataEntry[]): Promise<void> {
  const [first] = maker.workers;
  if (first === undefined) return;
  for (const run of runsOf(entries)) {
    const workers = SIDE_BY_SIDE.includes(run[0]?.kind ?? 'other') ? maker.workers : [first];
    await runTasks(
      run.map((entry) => entryTask(maker, entry)),
      workers,
    );
  }
}

/** An entry as work for a session on the target. Plain indexes of one table are built side by side. */
export function entryTask(maker: EntryMaker, entry: PostDataEntry): Task<Client> {
  const run = (worker: Client): Promise<void> => makeEntry(maker, worker, entry);
  return entry.kind === 'plain index' ? { needs: [], shares: entry.tables, run } : { needs: entry.tables, run };
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

async function makeEntry(maker: EntryMaker, target: Client, entry: PostDataEntry): Promise<void> {
  const { owners, scripts, warnings, made } = maker;
  const isGrant = entry.classOid === 0 && entry.text.startsWith('ACL ');
  const script = scripts.get(entry.key);
  if (script === undefined) throw new Failure(`${entry.text} was not read from the archive; start again`);
  const statements = isGrant ? asMember(script) : script;
  const work = async (): Promise<void> => {
    if (!isGrant) await target.query(statements);
    const refused = isGrant ? await tried(target, statements) : undefined;
    if (refused !== undefined) warnings.push(`${entry.text} was refused: ${refused}`);
  };
  const transaction = (): Promise<void> =>
    inTransaction(target, async () => {
      await target.query(SETTINGS);
      await (statements.includes(' OWNER TO ') ? withCreateRights(target, owners, work) : work());
      await markRestored(target, entry.key);
    });
  for (let attempt = 1; ; attempt += 1) {
    try {
      await transaction();
      return made(entry);
    } catch (error) {
      // Partitions are locked with their table, which the catalog's one line per key does not tell.
      const deadlock = (error as { code?: string }).code === '40P01';
      if (!deadlock || attempt >= DEADLOCK_TRIES) throw explain(entry, error);
    }
  }
}

function explain(entry: PostDataEntry, error: unknown): Failure {
  const { code, detail, constraint } = error as { code?: string; detail?: string; constraint?: string };
  const text = `${entry.text} cannot be made on the target: ${oneLine(error)}${detail === undefined ? '' : ` (${detail})`}`;
  const cures: Record<string, string> = {
    '23505': `the target's rows differ from the source's, or the source breaks ${constraint ?? 'this constraint'} itself; start verify, then this again`,
    '23503': `rows without their counterpart: the source has them too, or the target's rows differ; look there, then start again`,
  };
  return new Failure(`${text}; ${(code !== undefined && cures[code]) || 'correct that and start again'}`, {
    cause: error,
  });
}
