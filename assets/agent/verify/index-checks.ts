import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { readRelations, type Relation } from '../catalog/relations';
import type { Context } from '../context';
import { GivenBack, givingWay } from '../copy/give-way';
import { RateLimit } from '../copy/rate-limit';
import { PAUSES_MS, Reconnecting } from '../copy/reconnecting';
import type { End } from '../endpoints';
import { oneLine } from '../errors';
import { isLost } from '../lost';
import { sql } from '../sql';
import { checkKeyIndex, type IndexCheck } from './index-check';
import { usableKey } from './relation-sql';
import { prepareSessions } from './session';

/** Fact: which files of each relation have been checked, by end and quoted name. */
const CHECKED_FACT = 'verify.indexes';

/** What the evidence says was asked. */
const GATE = 'key indexes hide no row';
const QUERY = 'count and hash of the keys, by a sequential pass and by ranges of the index, in one snapshot';

/** Longest wait before the brake is asked again; milliseconds. */
const PIECE_MS = 1_000;

/** How often a relation is given up for the sake of those who wait for its lock, until that is a problem. */
const MOST_GIVEN_BACK = 5;

type Checked = Record<string, string>;

/** What the checks found. */
export interface IndexChecks {
  readonly checked: number;
  /** Relations that an earlier run had checked, and whose files are the same. */
  readonly known: number;
  /** What is wrong, or could not be looked at; each a sentence. */
  readonly problems: readonly string[];
}

/**
 * Holds each relation's key index against a sequential pass, on both ends, with `verify.jobs` workers: once as long as
 * table and indexes stay the same files of a server that runs on, or each time, or never, as the settings say. Leaves evidence, also of what was
 * not looked at.
 *
 * @param pauses between tries of a check whose server is gone; milliseconds. @default a minute and a half
 */
export async function checkKeyIndexes(
  context: Context,
  relations: readonly Relation[],
  pauses: readonly number[] = PAUSES_MS,
): Promise<IndexChecks> {
  const { sequentialCheck, jobs } = context.config.verify;
  if (sequentialCheck === 'never') {
    const todo = `agent.verify.sequentialCheck is 'never': a corrupt index may hide rows; set 'once' and start verify again`;
    context.log.warn({ relations: relations.length }, todo);
    await context.evidence(GATE, false, QUERY, { verdict: 'warn', figure: 'not run', todo });
    return { checked: 0, known: 0, problems: [] };
  }
  const before = (await context.state.fact<Checked>(CHECKED_FACT)) ?? {};
  const run = new Run(context, sequentialCheck === 'once' ? before : {}, pauses);
  const names = new Set(relations.map((relation) => relation.sql));
  await context.with('source', async (source) => {
    await context.with('target', async (target) => {
      run.add('source', relations);
      // As the target has them: its indexes are others.
      const there = await readRelations(target, context.config);
      run.add(
        'target',
        there.filter((relation) => names.has(relation.sql)),
      );
      await prepareSessions(source, target);
    });
  });
  await Promise.all(Array.from({ length: jobs }, () => run.work()));
  await context.state.setFact(CHECKED_FACT, { ...before, ...run.files });
  const { checked, known, problems } = run;
  await context.evidence(GATE, problems.length === 0, QUERY, { checked, known, problems });
  return { checked, known, problems };
}

interface Item {
  readonly end: End;
  readonly relation: Relation;
  /** How often it was given up so far, because others wait for its lock. @default never */
  readonly givenBack?: number;
}

class Run {
  checked = 0;
  known = 0;
  readonly problems: string[] = [];
  readonly files: Checked = {};
  private readonly queue: Item[] = [];
  private readonly limit: RateLimit;

  constructor(
    private readonly context: Context,
    private readonly before: Checked,
    private readonly pauses: readonly number[],
  ) {
    this.limit = new RateLimit(context.config.verify.maxRowsPerSecond);
  }

  add(end: End, relations: readonly Relation[]): void {
    this.queue.push(...relations.map((relation) => ({ end, relation })));
  }

  async work(): Promise<void> {
    for (let item = this.queue.shift(); item; item = this.queue.shift()) {
      const { end, relation } = item;
      if (end === 'source') await this.context.brake.clear();
      const session = new Reconnecting(() => this.context.connect(end), this.pauses);
      const read = await session
        .run(
          (client) => this.look(client, item as Item),
          (error, pause) =>
            this.context.log.warn({ relation: relation.sql, pause, cause: oneLine(error) }, 'check interrupted'),
        )
        .catch((error: unknown) => this.failed(item as Item, error))
        .finally(() => session.close());
      if (end === 'source') await this.pay(this.limit.take(read));
    }
  }

  /** What others wait for comes again, last of all; a few times. A server that stays away is waited for once. */
  private failed(item: Item, error: unknown): number {
    const { end, relation, givenBack = 0 } = item;
    if (error instanceof GivenBack) {
      this.context.log.warn({ relation: relation.sql, cause: oneLine(error) }, 'given back');
      const times = givenBack + (error.waiter === undefined ? 0 : 1);
      if (times < MOST_GIVEN_BACK) this.queue.push({ ...item, givenBack: times });
      else
        this.problems.push(
          `${relation.sql} on the ${end}: its index was not checked, since each of ${times} times others waited for its lock, at last ${error.waiter}; keep such statements away meanwhile, or raise brake.lockWaitMs`,
        );
    } else if (isLost(error)) {
      const others = this.queue.splice(0).length;
      this.problems.push(
        `${relation.sql} on the ${end}: ${oneLine(error)}; its index${others > 0 ? ` and ${others} others were` : ' was'} not checked: bring that server back, then start verify again`,
      );
    } else this.problems.push(`${relation.sql} on the ${end}: ${oneLine(error)}`);
    return 0;
  }

  /** Waits, in no transaction and no session. */
  private async pay(debtMs: number): Promise<void> {
    for (let left = debtMs; left > 0; left -= PIECE_MS) {
      this.context.brake.throwIfOff();
      await sleep(Math.min(left, PIECE_MS));
    }
  }

  /**
   * A large table is read for hours, with a lock that keeps TRUNCATE and DDL waiting, and all that comes after these: the
   * server ends the session then, since a statement that answers nothing before its end notices no client that went.
   */
  private async givingWay<T>(client: Client, work: () => Promise<T>): Promise<T> {
    const { rows } = await client.query('SELECT pg_backend_pid() AS pid');
    const { pid } = rows[0] as { pid: number };
    return givingWay(this.context.brake, pid, async (signal) => {
      const end = (): void =>
        void this.context
          .with('source', (other) => other.query('SELECT pg_catalog.pg_terminate_backend($1)', [pid]))
          .catch((error: unknown) => this.context.log.warn({ err: error }, 'a check could not be ended'));
      signal.addEventListener('abort', end, { once: true });
      try {
        return await work();
      } catch (error) {
        throw signal.aborted ? signal.reason : error;
      }
    });
  }

  /** Returns how many rows were read. */
  private async look(client: Client, { end, relation }: Item): Promise<number> {
    const key = usableKey(relation);
    if (key === undefined) return 0;
    const name = `${end} ${relation.sql}`;
    const files = await filesOf(client, relation);
    if (this.before[name] === files) {
      this.known++;
      return 0;
    }
    await client.query('SET max_parallel_workers_per_gather = 0; SET jit = off');
    this.context.progress.report(this.checked, this.checked + this.queue.length + 1, 'indexes', relation.sql);
    const { chunkRows } = this.context.config.verify;
    const work = (): Promise<IndexCheck> => checkKeyIndex(client, relation, key, chunkRows);
    const { ok, rows, indexRows, misplaced } = await (end === 'source' ? this.givingWay(client, work) : work());
    this.checked++;
    if (ok) this.files[name] = files;
    else {
      this.problems.push(
        `${relation.sql} on the ${end}: index "${key.indexName}" shows ${indexRows} rows (${misplaced} out of order) where a sequential pass sees ${rows}; it is corrupt or sorted by other rules, so rows were hidden from the migration: REINDEX it, and start verify again with --repair`,
      );
    }
    return rows + indexRows;
  }
}

/**
 * The files of a relation and its indexes, which are others after a REINDEX or a rewrite, and since when the server runs: a
 * standby that took over has files of the same names, and a machine that was upgraded may sort by other rules.
 */
async function filesOf(client: Client, relation: Relation): Promise<string> {
  const { rows } = await client.query(
    sql`
      SELECT pg_postmaster_start_time() || ' ' || string_agg(pg_relation_filenode(o)::text, ' ' ORDER BY o) AS files FROM (
        SELECT $1::oid AS o UNION ALL SELECT indexrelid FROM pg_index WHERE indrelid = $1::oid) AS s`,
    [relation.oid],
  );
  return (rows[0] as { files: string | null }).files ?? '';
}
