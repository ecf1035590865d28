import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Address } from '../session';

/** What the process of Perl is told, and whom it tells. */
export interface PerlOptions {
  readonly address: Address;
  readonly statement: string;
  /** Time between two statements; milliseconds. */
  readonly everyMs: number;
  readonly signal: AbortSignal;
  /** A statement was done, so long after it was first tried; milliseconds. */
  readonly served: (ms: number) => void;
  readonly failed: (error: string) => void;
}

const PROGRAM = join(__dirname, 'writer.pl');

/** How long the process may take to end; milliseconds. */
const ENDING_MS = 3_000;

/** Runs libpq's Perl driver, as many applications have it, until the signal ends it. Its password comes by its input. */
export async function runPerl({ address, statement, everyMs, signal, served, failed }: PerlOptions): Promise<void> {
  const child = spawn('perl', [PROGRAM], {
    env: {
      PATH: process.env['PATH'],
      PGHOST: address.host,
      PGPORT: String(address.port),
      PGDATABASE: address.database,
      PGUSER: address.user,
      PGSSLMODE: address.ssl ? 'require' : 'disable',
      PGCONNECT_TIMEOUT: '3',
      STATEMENT: statement,
      EVERY_MS: String(everyMs),
    },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const ended = new Promise<void>((resolve) => {
    child.once('error', () => {
      failed('cannot be started');
      resolve();
    });
    child.once('close', (status) => {
      if (status !== 0 && !signal.aborted) failed(`ended with status ${status}`);
      resolve();
    });
  });
  child.stdin.on('error', () => undefined);
  child.stdin.write(`${address.password ?? ''}\n`);
  createInterface({ input: child.stdout }).on('line', (line) => {
    const [word, value = ''] = line.split(' ');
    if (word === 'done') served(Number(value));
    else failed(value);
  });
  const end = (): void => {
    child.stdin.end();
    setTimeout(() => child.kill('SIGKILL'), ENDING_MS).unref();
  };
  if (signal.aborted) end();
  else signal.addEventListener('abort', end, { once: true });
  await ended;
}
