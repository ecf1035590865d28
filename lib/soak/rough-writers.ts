import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { Session, type Address } from '../rehearsal/workload/session';

/** Rows that a truncating writer leaves after each round. */
const ROWS = 40;

/** How long a long transaction stays open between its statements, how many it has, and its rest; milliseconds. */
const HELD_MS = 700;
const STATEMENTS = 5;
const REST_MS = 6_000;

/** Between two truncations of a writer: each has the whole table copied anew; milliseconds. */
const TRUNCATION_REST_MS = 10_000;

/** A rest after a refusal, as an application would have it; milliseconds. */
const REFUSED_MS = 200;

/**
 * The tables of the rough writers. One is truncated, and points to another, which is truncated by cascade; one is
 * written by transactions that take seconds.
 */
export const ROUGH_TABLES = `
  CREATE SCHEMA rough;
  CREATE TABLE rough.emptied (writer int, epoch int, n int, note text, PRIMARY KEY (writer, n));
  CREATE TABLE rough.parent (id int PRIMARY KEY, epoch int NOT NULL);
  CREATE TABLE rough.child (id int PRIMARY KEY REFERENCES rough.parent, epoch int NOT NULL);
  CREATE TABLE rough.slow (writer int PRIMARY KEY, n int NOT NULL, step int NOT NULL);`;

/** Those that are emptied again and again, by quoted name. */
export const EMPTIED: readonly string[] = ['"rough"."emptied"', '"rough"."parent"', '"rough"."child"'];

/** What a rough writer did, and what is wrong with what it left. */
export interface RoughResult {
  readonly writer: string;
  readonly acknowledged: number;
  readonly problems: readonly string[];
}

/** A writer that counts its transactions, and knows which one must, and which ones may, have left its mark. */
export abstract class RoughWriter {
  /** Number of the newest transaction whose commit was acknowledged, and of the newest that was tried. */
  protected acknowledged = 0;
  protected tried = 0;

  constructor(
    readonly name: string,
    private readonly address: Address,
    protected readonly signal: AbortSignal,
  ) {}

  async run(): Promise<void> {
    let session: Session | undefined;
    while (!this.signal.aborted) {
      this.tried += 1;
      try {
        session ??= await Session.open(this.address);
        await session.begin();
        await this.write(session, this.tried);
        if (await session.commit()) this.acknowledged = this.tried;
      } catch {
        // Whatever refused it: the transaction is unknown until the end, and a new session does no harm.
        await session?.close().catch(() => undefined);
        session = undefined;
        await sleep(REFUSED_MS);
      }
      await this.rest();
    }
    await session?.close().catch(() => undefined);
  }

  /** Looks at what is left, once nothing is under way any more. */
  async judge(client: Client): Promise<RoughResult> {
    const found = await this.marks(client);
    const right = found.length === 1 && (found[0] ?? -1) >= this.acknowledged && (found[0] ?? 0) <= this.tried;
    const problems: string[] = [];
    // What was never written cannot be lost: a run in which it was not proves nothing.
    if (this.acknowledged === 0) problems.push(`${this.name}: none of its ${this.tried} transactions was acknowledged`);
    else if (!right)
      problems.push(
        `${this.name}: the database holds ${found.join(', ') || 'nothing'} instead of ${this.acknowledged} (up to ${this.tried})`,
      );
    return { writer: this.name, acknowledged: this.acknowledged, problems };
  }

  protected abstract write(session: Session, n: number): Promise<void>;
  /** Numbers of the transactions that left what is there; one, unless something is lost or doubled. */
  protected abstract marks(client: Client): Promise<number[]>;
  protected rest(): Promise<unknown> {
    return sleep(TRUNCATION_REST_MS, undefined, { signal: this.signal }).catch(() => undefined);
  }
}

/** Empties a table, fills it anew, and takes back a part of that in a savepoint. */
export class TruncatingWriter extends RoughWriter {
  protected async write(session: Session, n: number): Promise<void> {
    await session.query('TRUNCATE rough.emptied');
    await session.query(
      `INSERT INTO rough.emptied SELECT 1, $1::int, i, 'of ' || $1::int FROM generate_series(1, ${ROWS}) i`,
      [n],
    );
    await session.query('SAVEPOINT part');
    await session.query('DELETE FROM rough.emptied WHERE n % 2 = 0');
    await session.query('UPDATE rough.emptied SET n = -n');
    await session.query('ROLLBACK TO SAVEPOINT part');
    await session.query('UPDATE rough.emptied SET n = n + 1000 WHERE n % 3 = 0');
  }

  /** A table that is not as one whole transaction left it counts as of none. */
  protected async marks(client: Client): Promise<number[]> {
    const { rows } = await client.query(
      `SELECT epoch, count(*)::int AS rows, (count(*) FILTER (WHERE n > 1000))::int AS moved FROM rough.emptied GROUP BY epoch`,
    );
    const third = Math.floor(ROWS / 3);
    return (rows as { epoch: number; rows: number; moved: number }[]).map((row) =>
      row.rows === ROWS && row.moved === third ? row.epoch : -1,
    );
  }
}

/** Empties a table that another one points to, by cascade, and fills both. */
export class CascadingWriter extends RoughWriter {
  protected async write(session: Session, n: number): Promise<void> {
    await session.query('TRUNCATE rough.parent CASCADE');
    await session.query(`INSERT INTO rough.parent SELECT i, $1::int FROM generate_series(1, ${ROWS}) i`, [n]);
    await session.query(`INSERT INTO rough.child SELECT i, $1::int FROM generate_series(1, ${ROWS}) i`, [n]);
  }

  protected async marks(client: Client): Promise<number[]> {
    const { rows } = await client.query(
      `SELECT epoch, count(*)::int AS rows FROM (SELECT epoch FROM rough.parent UNION ALL SELECT epoch FROM rough.child) q GROUP BY epoch`,
    );
    return (rows as { epoch: number; rows: number }[]).map((row) => (row.rows === 2 * ROWS ? row.epoch : -1));
  }
}

/** Holds transactions open for seconds. */
export class SlowWriter extends RoughWriter {
  protected async write(session: Session, n: number): Promise<void> {
    await session.query(
      `INSERT INTO rough.slow VALUES (1, $1::int, 0) ON CONFLICT (writer) DO UPDATE SET n = $1::int, step = 0`,
      [n],
    );
    for (let step = 1; step <= STATEMENTS; step += 1) {
      await sleep(HELD_MS);
      await session.query('UPDATE rough.slow SET step = step + 1 WHERE writer = 1');
    }
  }

  protected async marks(client: Client): Promise<number[]> {
    const { rows } = await client.query('SELECT n, step FROM rough.slow');
    return (rows as { n: number; step: number }[]).map(({ n, step }) => (step === STATEMENTS ? n : -1));
  }

  protected override rest(): Promise<unknown> {
    return sleep(REST_MS, undefined, { signal: this.signal }).catch(() => undefined);
  }
}
