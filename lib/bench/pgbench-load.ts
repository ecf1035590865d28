import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Failure } from '../../assets/agent/errors';
import { DEBIAN_POSTGRES } from '../rehearsal/lab/packages';
import type { BenchServers } from './servers';

/** One transaction of pgbench. */
export interface LoggedTransaction {
  /** When it ended; seconds since 1970. */
  readonly endedAt: number;
  readonly milliseconds: number;
}

/** What a load came to. */
export interface Load {
  readonly transactionsPerSecond: number;
  /** Every transaction; empty unless asked for. */
  readonly transactions: readonly LoggedTransaction[];
}

/** How the load is to be. */
export interface LoadOptions {
  readonly clients: number;
  readonly seconds: number;
  /** Transactions a second, of all clients together. @default as many as the server takes */
  readonly rate?: number;
  /** Whether each transaction is to be known. @default false */
  readonly logged?: boolean;
}

/** pgbench -N: an update of an account, a look at it, and a line of history. Runs to the end of its time. */
export async function runLoad(servers: BenchServers, database: string, options: LoadOptions): Promise<Load> {
  const directory = join(servers.directory, 'pgbench');
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const args = [
    '-N',
    '-n',
    '--protocol=prepared',
    `--client=${options.clients}`,
    '--jobs=2',
    `--time=${options.seconds}`,
    ...(options.rate === undefined ? [] : [`--rate=${options.rate}`]),
    ...(options.logged === true ? ['--log', `--log-prefix=${join(directory, 'log')}`] : []),
    servers.address('source', database),
  ];
  const child: ChildProcess = spawn(join(DEBIAN_POSTGRES, 'pgbench'), args, {
    env: { ...process.env, ...servers.environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [printed, said] = ['', ''];
  child.stdout?.on('data', (text: Buffer) => (printed += text.toString()));
  child.stderr?.on('data', (text: Buffer) => (said = `${said}${text.toString()}`.slice(-2_000)));
  const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  const rate = /^tps = ([\d.]+)/m.exec(printed)?.[1];
  if (code !== 0 || rate === undefined) throw new Failure(`pgbench failed: ${said.trim()}`);
  const files = readdirSync(directory).map((file) => readFileSync(join(directory, file), 'utf8'));
  return { transactionsPerSecond: Number(rate), transactions: files.flatMap((text) => transactionsOf(text)) };
}

/** A line is: client, number, microseconds, script, seconds and microseconds of the end. */
function transactionsOf(log: string): LoggedTransaction[] {
  return log.split('\n').flatMap((line) => {
    const [, , took, , second, fraction] = line.split(' ').map(Number);
    if (took === undefined || second === undefined || fraction === undefined) return [];
    return [{ endedAt: second + fraction / 1e6, milliseconds: took / 1000 }];
  });
}
