import { spawn, type ChildProcess } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { AgentConfig } from '../config';
import type { Context } from '../context';
import type { Server } from '../endpoints';
import { Failure } from '../errors';
import { clientServiceFile, writeServices } from '../libpq';

/** Characters of a program's error output that are kept for the failure's message. */
const KEPT_ERROR = 4000;

/** A PostgreSQL client program at work. */
export interface ToolRun {
  readonly child: ChildProcess;
  /** Resolves when the program ended well; throws Failure with its own words when it did not. */
  readonly done: Promise<void>;
}

/** How a client program is started. */
export interface ToolOptions {
  /** The end that it connects to; none for programs that read an archive only. */
  readonly end?: Server;
  /** Called with each line of its error output, as pg_dump -v writes it. */
  readonly onLine?: (line: string) => void;
}

/** The form of money that every server reads; pg_dump sets all other forms by itself. */
const SETTINGS = { lc_monetary: 'C' };

/** Writes the service file that pg_dump reads, so that no address and no password is in its arguments. */
export async function prepareServices(context: Context, ends: readonly Server[]): Promise<void> {
  const services = await Promise.all(
    ends.map(async (end) => ({ name: end, endpoint: await context.endpoint(end), settings: SETTINGS })),
  );
  writeServices(clientServiceFile(context.config.host.runDirectory), services);
}

/** Path of a client program. Throws Failure that says what to install when it is not there. */
export function clientTool(config: AgentConfig, program: string): string {
  const path = join(config.host.clientTools, program);
  try {
    accessSync(path, constants.X_OK);
  } catch {
    throw new Failure(
      `${path} is not there or not executable: install the PostgreSQL client programs of the target's major, or correct host.clientTools`,
    );
  }
  return path;
}

/**
 * Starts a client program with an environment of its own. It is killed when this process dies, however that happens:
 * a pg_dump that outlives its phase would go on holding a snapshot on the source.
 */
export function startTool(
  config: AgentConfig,
  program: string,
  args: readonly string[],
  options: ToolOptions = {},
): ToolRun {
  const path = clientTool(config, program);
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', path, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env['PATH'] ?? '/usr/bin:/bin',
      HOME: process.env['HOME'] ?? '/',
      LC_ALL: 'C',
      PGAPPNAME: `ibex ${program}`,
      ...(options.end !== undefined && {
        PGSERVICEFILE: clientServiceFile(config.host.runDirectory),
        PGSERVICE: options.end,
      }),
    },
  });
  let said = '';
  const lines = createInterface({ input: child.stderr });
  lines.on('line', (line) => {
    options.onLine?.(line);
    said = `${said}${line}\n`.slice(-KEPT_ERROR);
  });
  const done = new Promise<void>((resolve, reject) => {
    child.once('error', (error) => reject(new Failure(`${program} could not be started: ${error.message}`)));
    child.once('close', (code, signal) => {
      if (code === 0) resolve();
      else
        reject(new Failure(`${program} ${signal ? `was ended by ${signal}` : 'failed'}: ${lastWords(said, program)}`));
    });
  });
  // Whoever streams the output may meet its end first; the failure is not lost, since `done` is awaited afterwards.
  done.catch(() => undefined);
  return { child, done };
}

/** Runs a client program to its end and returns what it wrote. */
export async function runTool(
  config: AgentConfig,
  program: string,
  args: readonly string[],
  options: ToolOptions = {},
): Promise<string> {
  const { child, done } = startTool(config, program, args, options);
  const chunks: Buffer[] = [];
  child.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk));
  await done;
  return Buffer.concat(chunks).toString('utf8');
}

/** The program's errors in one line; its progress messages are left out. */
function lastWords(said: string, program: string): string {
  const lines = said.trim().split('\n');
  const errors = lines.filter((line) => /\b(error|fatal|detail|hint|permission denied):?/i.test(line));
  const words = (errors.length > 0 ? errors : lines.slice(-2)).join(' ');
  return words.replaceAll(`${program}: `, '').trim() || 'it said nothing';
}
