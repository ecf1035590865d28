import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import { Client, type ClientConfig } from 'pg';
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

/** DBD::Pg with its defaults: it prepares on the server by itself. */
export function perlClients({ host, port, database, user, password }: ClientConfig, count: number): Clients {
  const state = recorder(`perl${++round}`, count);
  const children = Array.from({ length: count }, (_, index) => {
    const child = spawn('perl', [join(__dirname, 'writer.pl')], {
      env: {
        PATH: '/usr/bin:/bin',
        PGHOST: String(host),
        PGPORT: String(port),
        PGDATABASE: String(database),
        PGUSER: String(user),
        PGPASSWORD: String(password),
        PGSSLMODE: 'require',
        CLIENT: state.name(index),
        PACE_MS: String(PACE_MS),
      },
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
    stop: async () => {
      const ended = children.map((child) => new Promise((resolve) => child.once('close', resolve)));
      for (const child of children) child.stdin.end();
      await Promise.all(ended);
      return state.seen();
    },
  };
}

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
    `SELECT client || ' ' || number AS row FROM written WHERE client ~ '^(node|perl)' ORDER BY 1`,
  );
  await client.end();
  return rows.map(({ row }) => row);
}
