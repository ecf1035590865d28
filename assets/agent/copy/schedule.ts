import type { Client } from 'pg';
import { sql } from '../sql';
import type { Part } from './cuts';

/** A part of a relation that one transaction copies. */
export interface Chunk {
  /** The relation's quoted name. */
  readonly relation: string;
  readonly number: number;
  /** Names the cut that it belongs to. */
  readonly plan: string;
  /** The source's file of the relation when it was cut; another one means other pages. */
  readonly file: string;
  readonly part: Part;
  /** Estimate, from the relation's size on the source. */
  readonly bytes: number;
  /** How often it was given back; 1 when that was before the phase was started again. */
  readonly givenBack: number;
  /** How often of these because somebody waited for its lock, since the phase was started. */
  readonly waited: number;
}

/** How a relation was cut. */
export interface Plan {
  readonly relation: string;
  readonly plan: string;
  readonly file: string;
  /** Place in the order of work, 0 first. */
  readonly rank: number;
  readonly bytes: number;
  readonly parts: readonly Part[];
}

const TABLES = [
  sql`
    CREATE TABLE IF NOT EXISTS ibex.copy_relation (
      relation text PRIMARY KEY,
      plan text NOT NULL,
      file text NOT NULL,
      error text)`,
  sql`
    CREATE TABLE IF NOT EXISTS ibex.copy_chunk (
      relation text NOT NULL REFERENCES ibex.copy_relation ON DELETE CASCADE,
      number int NOT NULL,
      rank int NOT NULL,
      part jsonb NOT NULL,
      bytes bigint NOT NULL,
      rows bigint,
      done boolean NOT NULL DEFAULT false,
      PRIMARY KEY (relation, number))`,
  'ALTER TABLE ibex.copy_chunk ADD COLUMN IF NOT EXISTS given_back int NOT NULL DEFAULT 0',
  'ALTER TABLE ibex.copy_chunk ADD COLUMN IF NOT EXISTS waited int NOT NULL DEFAULT 0',
  'ALTER TABLE ibex.copy_chunk ADD COLUMN IF NOT EXISTS unseen boolean NOT NULL DEFAULT false',
  'CREATE INDEX IF NOT EXISTS copy_chunk_waiting ON ibex.copy_chunk (rank, number) WHERE NOT done',
  // For the lookout: what is left of a relation, and what it has not seen done.
  'CREATE INDEX IF NOT EXISTS copy_chunk_left ON ibex.copy_chunk (relation) WHERE NOT done',
  'CREATE INDEX IF NOT EXISTS copy_chunk_unseen ON ibex.copy_chunk (relation) WHERE unseen',
];

/**
 * The list of chunks in the host's PostgreSQL. Whoever works on a chunk has its row locked, for as long as the work
 * takes: a process that dies gives it back at once, and no chunk is given to two.
 */
export class Schedule {
  constructor(private readonly client: Client) {}

  async prepare(): Promise<void> {
    for (const table of TABLES) await this.client.query(table);
    await this.client.query('UPDATE ibex.copy_relation SET error = NULL WHERE error IS NOT NULL');
    await this.client.query('UPDATE ibex.copy_chunk SET given_back = 1, waited = 0 WHERE given_back > 1 OR waited > 0');
    await this.client.query('UPDATE ibex.copy_chunk SET unseen = true WHERE done AND NOT unseen');
  }

  /** The plan of each relation that was cut, with the file that it had then. */
  async plans(): Promise<Map<string, { plan: string; file: string }>> {
    const { rows } = await this.client.query('SELECT relation, plan, file FROM ibex.copy_relation');
    return new Map((rows as { relation: string; plan: string; file: string }[]).map((row) => [row.relation, row]));
  }

  /** Puts these plans in the place of the relations' earlier ones. */
  async put(plans: readonly Plan[]): Promise<void> {
    await this.client.query('BEGIN');
    await this.client.query('DELETE FROM ibex.copy_relation WHERE relation = ANY ($1)', [plans.map((p) => p.relation)]);
    await this.client.query(
      'INSERT INTO ibex.copy_relation (relation, plan, file) SELECT * FROM unnest($1::text[], $2::text[], $3::text[])',
      [plans.map((p) => p.relation), plans.map((p) => p.plan), plans.map((p) => p.file)],
    );
    const chunks = plans.flatMap((plan) => plan.parts.map((part, number) => ({ plan, part, number })));
    await this.client.query(
      sql`
        INSERT INTO ibex.copy_chunk (relation, number, rank, part, bytes)
        SELECT * FROM unnest($1::text[], $2::int[], $3::int[], $4::jsonb[], $5::bigint[])`,
      [
        chunks.map(({ plan }) => plan.relation),
        chunks.map(({ number }) => number),
        chunks.map(({ plan }) => plan.rank),
        chunks.map(({ part }) => JSON.stringify(part)),
        chunks.map(({ plan }) => Math.round(plan.bytes / plan.parts.length)),
      ],
    );
    await this.client.query('COMMIT');
    // Else the planner may read every chunk at each look.
    await this.client.query('ANALYZE ibex.copy_chunk');
  }

  /** Forgets relations that are not to be copied any more. @param relations those that are, in the order of work */
  async keepOnly(relations: readonly string[]): Promise<void> {
    await this.client.query('DELETE FROM ibex.copy_relation WHERE relation <> ALL ($1)', [relations]);
    await this.client.query(
      sql`
        UPDATE ibex.copy_chunk c SET rank = o.place - 1 FROM unnest($1::text[]) WITH ORDINALITY AS o (relation, place)
        WHERE c.relation = o.relation AND c.rank <> o.place - 1`,
      [relations],
    );
  }

  /** Takes over what the target knows to be done. */
  async reconcile(done: readonly { relation: string; number: number; rows: number }[]): Promise<void> {
    await this.client.query(
      sql`
        UPDATE ibex.copy_chunk c SET done = d.relation IS NOT NULL, unseen = d.relation IS NOT NULL, rows = d.rows
        FROM ibex.copy_chunk o
        LEFT JOIN unnest($1::text[], $2::int[], $3::bigint[]) AS d (relation, number, rows) USING (relation, number)
        WHERE o.relation = c.relation AND o.number = c.number AND c.done <> (d.relation IS NOT NULL)`,
      [done.map((chunk) => chunk.relation), done.map((chunk) => chunk.number), done.map((chunk) => chunk.rows)],
    );
  }

  /**
   * Opens a transaction and takes the next chunk in it, the largest relations' first; undefined, and no transaction,
   * when all are done or in hand. To be ended by `done`, `failed`, `giveBack` or `release`.
   */
  async take(): Promise<Chunk | undefined> {
    // That a chunk is done, the target knows too: what this server forgets in a crash is taken over at the next start.
    await this.client.query('BEGIN; SET LOCAL synchronous_commit = off');
    const { rows } = await this.client.query(sql`
      SELECT c.relation, c.number, r.plan, r.file, c.part, c.bytes::float8 AS bytes, c.given_back AS "givenBack",
        c.waited
      FROM ibex.copy_chunk c JOIN ibex.copy_relation r USING (relation)
      WHERE NOT c.done AND r.error IS NULL ORDER BY c.rank, c.number LIMIT 1 FOR UPDATE OF c SKIP LOCKED`);
    if (rows.length === 0) await this.client.query('COMMIT');
    return rows[0] as Chunk | undefined;
  }

  async done(chunk: Chunk, rows: number): Promise<void> {
    await this.client.query(
      'UPDATE ibex.copy_chunk SET done = true, unseen = true, rows = $3 WHERE relation = $1 AND number = $2',
      [chunk.relation, chunk.number, rows],
    );
    await this.client.query('COMMIT');
  }

  /** Gives the chunk back, to whoever takes it next. */
  async release(): Promise<void> {
    await this.client.query('ROLLBACK');
  }

  /**
   * The same, and counts it, durably: a relation that may have been read in pieces is ended in another way.
   *
   * @param waited whether somebody waits for its lock
   */
  async giveBack(chunk: Chunk, waited: boolean): Promise<void> {
    await this.client.query('SET LOCAL synchronous_commit = on');
    await this.client.query(
      sql`
        UPDATE ibex.copy_chunk SET given_back = given_back + 1, waited = waited + $3::int
        WHERE relation = $1 AND number = $2`,
      [chunk.relation, chunk.number, waited ? 1 : 0],
    );
    await this.client.query('COMMIT');
  }

  /** Nothing of this relation is copied any more until the phase is started again. */
  async failed(relation: string, error: string): Promise<void> {
    await this.client.query('ROLLBACK');
    await this.client.query('UPDATE ibex.copy_relation SET error = coalesce(error, $2) WHERE relation = $1', [
      relation,
      error,
    ]);
  }

  /** Why relations could not be copied, in the order of work. */
  async failures(): Promise<{ relation: string; error: string }[]> {
    const { rows } = await this.client.query(sql`
      SELECT r.relation, r.error FROM ibex.copy_relation r
      WHERE r.error IS NOT NULL ORDER BY (SELECT min(rank) FROM ibex.copy_chunk c WHERE c.relation = r.relation)`);
    return rows as { relation: string; error: string }[];
  }

  /** Whether chunks are left that somebody could copy. */
  async isUnfinished(): Promise<boolean> {
    const { rows } = await this.client.query(sql`
      SELECT EXISTS (SELECT FROM ibex.copy_chunk c JOIN ibex.copy_relation r USING (relation)
        WHERE NOT c.done AND r.error IS NULL) AS unfinished`);
    return (rows[0] as { unfinished: boolean }).unfinished;
  }
}
