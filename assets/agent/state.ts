import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import type { HostConfig } from './config';
import { connectToHost } from './connect';
import type { Direction } from './endpoints';
import { Failure } from './errors';
import { ident, sql } from './sql';

/** Name of Ibex's own database on the host, and of its schema there. */
const DATABASE = 'ibex';

/** How long a killed process's session may take to end; milliseconds. */
const CLAIM_TIMEOUT_MS = 5_000;

/** What is known of one phase. */
export interface PhaseRecord {
  readonly name: string;
  /** Of its last run. */
  readonly status: 'running' | 'succeeded' | 'failed';
  /** Whether any run of it has succeeded. */
  readonly hasSucceeded: boolean;
  readonly startedAt: Date;
  readonly seconds: number | null;
  readonly message: string;
  readonly result: Record<string, unknown>;
}

/** Adds a column that an earlier version did not have. One that is there is not asked for: that alone would lock the table. */
const addColumn = (table: string, column: string, definition: string): string => sql`
  DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = '${table}'::regclass AND attname = '${column}') THEN
      ALTER TABLE ${table} ADD COLUMN IF NOT EXISTS ${column} ${definition};
    END IF;
  END $$`;

const TABLES = [
  sql`
    CREATE SCHEMA IF NOT EXISTS ibex`,
  sql`
    CREATE TABLE IF NOT EXISTS ibex.phase (
      name text PRIMARY KEY,
      status text NOT NULL CHECK (status IN ('running', 'succeeded', 'failed')),
      started_at timestamptz NOT NULL,
      ended_at timestamptz,
      active_seconds double precision NOT NULL DEFAULT 0,
      runs integer NOT NULL DEFAULT 1,
      message text NOT NULL DEFAULT '',
      result jsonb NOT NULL DEFAULT '{}')`,
  addColumn('ibex.phase', 'has_succeeded', 'boolean NOT NULL DEFAULT false'),
  sql`
    CREATE TABLE IF NOT EXISTS ibex.evidence (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      at timestamptz NOT NULL DEFAULT clock_timestamp(),
      phase text NOT NULL,
      gate text NOT NULL,
      passed boolean NOT NULL,
      query text NOT NULL,
      result jsonb NOT NULL)`,
  sql`
    CREATE TABLE IF NOT EXISTS ibex.counter (
      name text PRIMARY KEY,
      value bigint NOT NULL)`,
  sql`
    CREATE TABLE IF NOT EXISTS ibex.verified (
      schema_name text NOT NULL,
      relation_name text NOT NULL,
      round bigint NOT NULL DEFAULT 0,
      verified_at timestamptz,
      rows bigint,
      again_since timestamptz,
      PRIMARY KEY (schema_name, relation_name))`,
  addColumn('ibex.verified', 'begun_at', 'timestamptz'),
  sql`
    CREATE TABLE IF NOT EXISTS ibex.dirty_key (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      schema_name text NOT NULL,
      relation_name text NOT NULL,
      key text[] NOT NULL,
      strikes integer NOT NULL DEFAULT 0,
      last_hash text)`,
  'CREATE INDEX IF NOT EXISTS dirty_key_relation ON ibex.dirty_key (schema_name, relation_name, id)',
  'CREATE INDEX IF NOT EXISTS dirty_key_different ON ibex.dirty_key (schema_name, relation_name) WHERE strikes >= 3',
  sql`
    CREATE TABLE IF NOT EXISTS ibex.fact (
      name text PRIMARY KEY,
      value jsonb NOT NULL)`,
];

/** A further session on Ibex's own database, which must be there; for work that holds a transaction open. */
export const openStateSession = (host: HostConfig): Promise<Client> => connectToHost(host, DATABASE);

/** What memories of both directions share. */
interface Session {
  client: Client;
  /** Names that are claimed in it, each as often as it was. */
  readonly claimed: string[];
}

/** Ibex's memory on the host: phases, evidence, counters and facts, in a schema of the host's own PostgreSQL. */
export class State {
  private constructor(
    private readonly session: Session,
    /** Begins the names of facts and counters. */
    private readonly scope = '',
  ) {}

  get client(): Client {
    return this.session.client;
  }

  /** Whose facts and counters these are. */
  get direction(): Direction {
    return this.scope === '' ? 'forward' : 'back';
  }

  /** The same memory with the facts and counters of one direction; those of `forward` bear their plain names. */
  facing(direction: Direction): State {
    return new State(this.session, direction === 'forward' ? '' : `${direction}.`);
  }

  /** Opens the state, making its database and tables where they are missing. */
  static async open(host: HostConfig): Promise<State> {
    const maintenance = await connectToHost(host, 'postgres');
    try {
      await maintenance.query(`SELECT pg_advisory_lock(hashtext($1))`, [DATABASE]);
      const found = await maintenance.query('SELECT 1 FROM pg_database WHERE datname = $1', [DATABASE]);
      if (found.rowCount === 0) await maintenance.query(`CREATE DATABASE ${ident(DATABASE)}`);
      const client = await connectToHost(host, DATABASE);
      try {
        await client.query('SET client_min_messages = warning');
        for (const table of TABLES) await client.query(table);
      } catch (error) {
        await client.end().catch(() => undefined);
        throw error;
      }
      return new State({ client, claimed: [] });
    } finally {
      await maintenance.end();
    }
  }

  /**
   * Opens the session anew where it has ended, for work that asks nothing for hours, and takes in it what was claimed.
   * Throws Failure when another process has that now.
   */
  async renew(host: HostConfig): Promise<void> {
    const { session } = this;
    const stands = await session.client.query('SELECT').then(
      () => true,
      () => false,
    );
    if (stands) return;
    const client = await openStateSession(host);
    try {
      for (const name of session.claimed) {
        if (!(await tryClaim(client, name, CLAIM_TIMEOUT_MS)))
          throw new Failure(`another process has taken over ${name}, since the session on the host's PostgreSQL ended`);
      }
    } catch (error) {
      await client.end().catch(() => undefined);
      throw error;
    }
    session.client = client;
  }

  /**
   * Takes the phase for this process, until its session ends. False when another process keeps it; the session of one
   * that was killed just now is given a moment to end.
   *
   * @param waitMs how long it is tried; milliseconds. @default that moment
   */
  async claim(phase: string, waitMs: number = CLAIM_TIMEOUT_MS): Promise<boolean> {
    const taken = await tryClaim(this.client, phase, waitMs);
    if (taken) this.session.claimed.push(phase);
    return taken;
  }

  /** Gives back what this process has claimed once. */
  async release(name: string): Promise<void> {
    await this.client.query('SELECT pg_advisory_unlock(4918, hashtext($1))', [name]);
    const { claimed } = this.session;
    if (claimed.includes(name)) claimed.splice(claimed.indexOf(name), 1);
  }

  async phase(name: string): Promise<PhaseRecord | undefined> {
    return (await this.phases()).find((phase) => phase.name === name);
  }

  /** All phases that were ever started, oldest first. */
  async phases(): Promise<PhaseRecord[]> {
    const { rows } = await this.client.query(sql`
      SELECT name, status, has_succeeded AS "hasSucceeded", started_at AS "startedAt", active_seconds AS seconds, message, result
      FROM ibex.phase ORDER BY started_at, name`);
    return rows as PhaseRecord[];
  }

  async phaseStarted(name: string): Promise<void> {
    await this.client.query(
      sql`
        INSERT INTO ibex.phase (name, status, started_at) VALUES ($1, 'running', clock_timestamp())
        ON CONFLICT (name) DO UPDATE SET status = 'running', started_at = clock_timestamp(), ended_at = NULL,
          has_succeeded = phase.has_succeeded OR phase.status = 'succeeded', runs = phase.runs + 1, message = ''`,
      [name],
    );
  }

  async phaseEnded(name: string, status: 'succeeded' | 'failed', message: string, result: object = {}): Promise<void> {
    await this.client.query(
      sql`
        UPDATE ibex.phase SET status = $2, has_succeeded = has_succeeded OR $2 = 'succeeded', ended_at = clock_timestamp(), message = $3,
          active_seconds = active_seconds + extract(epoch FROM clock_timestamp() - started_at),
          result = result || $4::jsonb
        WHERE name = $1`,
      [name, status, message, JSON.stringify(result)],
    );
  }

  /** Keeps what a gate asked and was answered. */
  async evidence(phase: string, gate: string, passed: boolean, query: string, result: unknown): Promise<void> {
    await this.client.query(
      'INSERT INTO ibex.evidence (phase, gate, passed, query, result) VALUES ($1, $2, $3, $4, $5)',
      [phase, gate, passed, query, JSON.stringify(result)],
    );
  }

  async allEvidence(): Promise<Record<string, unknown>[]> {
    const { rows } = await this.client.query(
      'SELECT at, phase, gate, passed, query, result FROM ibex.evidence ORDER BY id',
    );
    return rows as Record<string, unknown>[];
  }

  /** Adds to a counter that survives every restart, such as rows applied by catch-up. */
  async count(name: string, by: number): Promise<void> {
    await this.client.query(
      sql`
        INSERT INTO ibex.counter VALUES ($1, $2)
        ON CONFLICT (name) DO UPDATE SET value = counter.value + excluded.value`,
      [this.scope + name, by],
    );
  }

  /** All counters of both directions. */
  async counters(): Promise<Record<string, number>> {
    const { rows } = await this.client.query('SELECT name, value FROM ibex.counter');
    return Object.fromEntries((rows as { name: string; value: string }[]).map((row) => [row.name, Number(row.value)]));
  }

  async setFact(name: string, value: unknown): Promise<void> {
    await this.client.query(
      'INSERT INTO ibex.fact VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
      [this.scope + name, JSON.stringify(value)],
    );
  }

  /** A fact that an earlier phase left, or undefined. */
  async fact<T>(name: string): Promise<T | undefined> {
    const { rows } = await this.client.query('SELECT value FROM ibex.fact WHERE name = $1', [this.scope + name]);
    return (rows[0] as { value: T } | undefined)?.value;
  }

  /** Forgets phases, facts and comparisons, but for the cleanup that asks for it; evidence and counters stay. */
  async startOver(): Promise<void> {
    await this.client.query(`DELETE FROM ibex.phase WHERE name <> 'cleanup'`);
    await this.client.query('DELETE FROM ibex.fact');
    await this.client.query('TRUNCATE ibex.verified, ibex.dirty_key');
  }

  async close(): Promise<void> {
    await this.client.end();
  }
}

async function tryClaim(client: Client, name: string, waitMs: number): Promise<boolean> {
  const deadline = performance.now() + waitMs;
  for (;;) {
    const { rows } = await client.query('SELECT pg_try_advisory_lock(4918, hashtext($1)) AS taken', [name]);
    const { taken } = rows[0] as { taken: boolean };
    if (taken || performance.now() >= deadline) return taken;
    await sleep(100);
  }
}
