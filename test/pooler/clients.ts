import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import { Client, Pool, type ClientConfig } from 'pg';
import type { TestPostgres } from '../helpers/postgres';
import { DATABASE } from './setting';

/** What some clients saw. */
export interface Seen {
  /** Rows of the table `written` whose commit was acknowledged: `client number`. */
  readonly acknowledged: string[];
  readonly errors: string[];
  /** Longest that one transaction took; milliseconds. */
  readonly longestMs: number;
}

/** Clients that write one row after another until they are stopped. */
export interface Clients {
  /** Waits until each of them has written so many more rows. */
  progress(rows: number): Promise<void>;
  stop(): Promise<Seen>;
}

let round = 0;

/** Milliseconds between two transactions of one client. */
const PACE_MS = 20;

/** node-postgres with statements that are prepared on the server and used again. */
export function nodeClients(config: ClientConfig, count: number): Clients {
  const state = recorder(`node${++round}`, count);
  const stopping = new AbortController();
  const write = async (index: number): Promise<void> => {
    const client = new Client(config);
    client.on('error', (error) => state.errors.push(error.message));
    await client.connect();
    for (let number = 1; !stopping.signal.aborted; number++) {
      const begin = performance.now();
      await client.query({
        name: 'write',
        text: 'INSERT INTO written VALUES ($1, $2)',
        values: [state.name(index), number],
      });
      await client.query({ name: 'read', text: 'SELECT $1::int + 1', values: [number] });
      state.wrote(index, number, performance.now() - begin);
      await sleep(PACE_MS);
    }
    await client.end();
  };
  const done = Promise.all(
    Array.from({ length: count }, (_, index) => write(index).catch((error: Error) => state.errors.push(error.message))),
  );
  return {
    progress: state.progress,
    stop: async () => {
      stopping.abort();
      await done;
      return state.seen();
    },
  };
}

/** node-postgres past any pooler: it connects anew after each error, whose code it keeps, and tries on. */
export function strayClients(config: ClientConfig, count: number): Clients {
  const state = recorder(`stray${++round}`, count);
  const stopping = new AbortController();
  const write = async (index: number): Promise<void> => {
    for (let number = 1; !stopping.signal.aborted; await sleep(PACE_MS)) {
      const client = new Client(config);
      client.on('error', () => undefined);
      try {
        await client.connect();
        for (; !stopping.signal.aborted; number++) {
          const begin = performance.now();
          await client.query('INSERT INTO written VALUES ($1, $2)', [state.name(index), number]);
          state.wrote(index, number, performance.now() - begin);
          await sleep(PACE_MS);
        }
      } catch (error) {
        state.errors.push((error as { code?: string }).code ?? (error as Error).message);
        // Whether it was committed is not known: the next try has a number of its own.
        number += 1;
      } finally {
        await client.end().catch(() => undefined);
      }
    }
  };
  const done = Promise.all(Array.from({ length: count }, (_, index) => write(index)));
  return {
    progress: state.progress,
    stop: async () => {
      stopping.abort();
      await done;
      return state.seen();
    },
  };
}

/** DBD::Pg with its defaults: it prepares on the server by itself. */
export function perlClients(config: ClientConfig, count: number): Clients {
  const state = recorder(`perl${++round}`, count);
  const children = Array.from({ length: count }, (_, index) => {
    const child = spawn('perl', [join(__dirname, 'writer.pl')], {
      env: { ...libpq(config), CLIENT: state.name(index), PACE_MS: String(PACE_MS) },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    createInterface({ input: child.stdout }).on('line', (line) => {
      const [number = 0, ms = 0] = line.split(' ').map(Number);
      state.wrote(index, number, ms);
    });
    child.stderr.on('data', (data: Buffer) => state.errors.push(String(data)));
    return child;
  });
  return {
    progress: state.progress,
    stop: () => ended(children, state),
  };
}

/** A pool of node-postgres, which hands each transaction another connection. */
export function poolClients(config: ClientConfig, count: number): Clients {
  const state = recorder(`pool${++round}`, count);
  const pool = new Pool({ ...config, max: Math.ceil(count / 2), idleTimeoutMillis: 200 });
  pool.on('error', (error) => state.errors.push(error.message));
  const stopping = new AbortController();
  const write = async (index: number): Promise<void> => {
    for (let number = 1; !stopping.signal.aborted; number++) {
      const begin = performance.now();
      await pool.query('INSERT INTO written VALUES ($1, $2)', [state.name(index), number]);
      state.wrote(index, number, performance.now() - begin);
      await sleep(PACE_MS);
    }
  };
  const done = Promise.all(
    Array.from({ length: count }, (_, index) => write(index).catch((error: Error) => state.errors.push(error.message))),
  );
  return {
    progress: state.progress,
    stop: async () => {
      stopping.abort();
      await done;
      await pool.end();
      return state.seen();
    },
  };
}

/** psql, which is given one statement after the other. */
export function psqlClients(config: ClientConfig, count: number): Clients {
  const state = recorder(`psql${++round}`, count);
  const children = Array.from({ length: count }, (_, index) => {
    const child = spawn('psql', ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1'], {
      env: libpq(config),
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let number = 0;
    let begin = 0;
    const next = (): void => {
      number += 1;
      begin = performance.now();
      child.stdin.write(`INSERT INTO written VALUES ('${state.name(index)}', ${number}) RETURNING number;\n`);
    };
    createInterface({ input: child.stdout }).on('line', () => {
      state.wrote(index, number, performance.now() - begin);
      setTimeout(() => child.stdin.writable && next(), PACE_MS);
    });
    child.stderr.on('data', (data: Buffer) => state.errors.push(String(data)));
    next();
    return child;
  });
  return { progress: state.progress, stop: () => ended(children, state) };
}

/** pgbench with statements that are prepared on the server; it tells only how many transactions it had. */
export function pgbench(
  config: ClientConfig,
  script: string,
  seconds: number,
): Promise<{ done: number; said: string }> {
  const limits = ['-c', '4', '-T', String(seconds), '-R', '100'];
  const child = spawn('pgbench', ['-n', '-M', 'prepared', ...limits, '-f', script], { env: libpq(config) });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => (said += String(data)));
  return new Promise((resolve) =>
    child.once('close', () =>
      resolve({ done: Number(/transactions actually processed: (\d+)/.exec(said)?.[1]), said }),
    ),
  );
}

const libpq = ({ host, port, database, user, password }: ClientConfig): NodeJS.ProcessEnv => ({
  PATH: '/usr/bin:/bin',
  PGHOST: String(host),
  PGPORT: String(port),
  PGDATABASE: String(database),
  PGUSER: String(user),
  PGPASSWORD: String(password),
  PGSSLMODE: 'require',
});

async function ended(children: readonly ChildProcessWithoutNullStreams[], state: Recorder): Promise<Seen> {
  const ends = children.map((child) => new Promise((resolve) => child.once('close', resolve)));
  for (const child of children) child.stdin.end();
  await Promise.all(ends);
  return state.seen();
}

type Recorder = ReturnType<typeof recorder>;

function recorder(prefix: string, count: number) {
  const acknowledged: string[] = [];
  const errors: string[] = [];
  const counts = Array.from({ length: count }, () => 0);
  let longestMs = 0;
  const name = (index: number): string => `${prefix}-${index}`;
  return {
    name,
    errors,
    wrote: (index: number, number: number, ms: number): void => {
      acknowledged.push(`${name(index)} ${number}`);
      counts[index] = number;
      longestMs = Math.max(longestMs, ms);
    },
    progress: async (rows: number): Promise<void> => {
      const goals = counts.map((each) => each + rows);
      for (const end = Date.now() + 30_000; goals.some((goal, index) => (counts[index] ?? 0) < goal);) {
        if (errors.length > 0) throw new Error(`a client failed: ${errors[0]}`);
        if (Date.now() > end) throw new Error(`clients ${prefix} stand still at ${counts.join(', ')} rows`);
        await sleep(20);
      }
    },
    seen: (): Seen => ({ acknowledged, errors, longestMs }),
  };
}

/** Rows that the clients have written to a server: `client number`. */
export async function writtenOn(server: TestPostgres): Promise<string[]> {
  const client = await server.connect(DATABASE);
  const { rows } = await client.query<{ row: string }>(
    `SELECT client || ' ' || number AS row FROM written WHERE client ~ '^(node|perl|pool|psql)' ORDER BY 1`,
  );
  await client.end();
  return rows.map(({ row }) => row);
}
