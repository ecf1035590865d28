import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { capture } from '../../../assets/agent/capture';
import { buildConstraints } from '../../../assets/agent/constraints';
import type { AgentConfig } from '../../../assets/agent/config';
import type { End } from '../../../assets/agent/endpoints';
import { readFenceState } from '../../../assets/agent/fence/objects';
import { copySchema } from '../../../assets/agent/schema';
import { Jobs } from '../../../assets/agent/job';
import { stopSupervisor } from '../../../assets/agent/sync/supervisor-job';
import { bundleAgent } from '../../../lib/agent-bundle';
import { startMigration, type TestMigration } from '../../helpers/migration';

/** How a run of the program ended. */
export interface Run {
  readonly status: number | null;
  readonly output: string;
}

/** A migration that is ready for its cutover, and the program as it is shipped to move writes there and back. */
export interface BothWays {
  readonly migration: TestMigration;
  /** What the program is told. */
  readonly config: AgentConfig;
  /** Sessions of the application. */
  readonly source: Client;
  readonly target: Client;
  /** Runs a phase to its end. */
  run(phase: string, ...options: string[]): Promise<Run>;
  /** Starts a phase, with more in its environment, and kills it with SIGKILL once `until` holds. */
  kill(phase: string, until: () => Promise<boolean>, environment?: Readonly<Record<string, string>>): Promise<void>;
  /** Runs a phase of a program that ends itself, with more in its environment. Returns how it ended. */
  die(phase: string, environment: Readonly<Record<string, string>>): Promise<Run & { readonly killed: boolean }>;
  /** Kind of both fences. */
  fences(): Promise<[string | undefined, string | undefined]>;
  /** Whether an end takes a write of the application. */
  takesWrites(end: End): Promise<boolean>;
  /** All rows of a table, as text. */
  rows(end: End, table: string): Promise<string[]>;
  /** A fact of the host's memory. */
  fact(name: string): Promise<unknown>;
  stop(): Promise<void>;
}

/**
 * @param tables made on the source before its schema is copied
 * @param cutover overrides of that section
 * @param more of the configuration, which may need the servers
 * @param makeProgram writes the program to a file
 */
export async function startBothWays(
  tables: string,
  cutover: object = {},
  more: (migration: TestMigration) => Promise<Partial<AgentConfig>> = () => Promise.resolve({}),
  makeProgram: (file: string) => void = bundleAgent,
): Promise<BothWays> {
  const directory = mkdtempSync(join(tmpdir(), 'ibex-ways-'));
  const program = join(directory, 'ibex.js');
  makeProgram(program);
  const migration = await startMigration({ durable: true });
  const source = await migration.admin('source');
  await source.query(tables);
  const settings = { ...migration.config.cutover, budgetSeconds: 5, ...cutover };
  const config = { ...migration.config, ...(await more(migration)), cutover: settings };
  const configFile = join(directory, 'ibex.json');
  writeFileSync(configFile, JSON.stringify(config));
  const context = await migration.context('schema', config);
  await copySchema(context);
  await capture.run(context);
  const builder = await context.connect('target');
  // Its tables are empty on both ends.
  await builder.query('UPDATE ibex.relation SET copied_at = clock_timestamp(), copied_rows = 0');
  await buildConstraints(context, builder);
  for (const phase of ['sync', 'verify']) {
    await context.state.phaseStarted(phase);
    await context.state.phaseEnded(phase, 'succeeded', 'by the test');
  }
  const target = await migration.admin('target');
  const clients = { source, target };
  // Of their own: what a test asks meanwhile must not come into a transaction that was refused.
  const probes = { source: await migration.admin('source'), target: await migration.admin('target') };

  const start = (args: readonly string[], environment: Readonly<Record<string, string>> = {}): ChildProcess =>
    spawn(process.execPath, [program, ...args], {
      env: { PATH: process.env['PATH'], HOME: directory, IBEX_CONFIG: configFile, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  const ended = (child: ChildProcess): Promise<Run> =>
    new Promise((resolve) => {
      let output = '';
      for (const stream of [child.stdout, child.stderr]) stream?.on('data', (text) => (output += String(text)));
      child.once('close', (status) => resolve({ status, output: output.trim() }));
    });

  return {
    migration,
    config,
    source,
    target,
    run: (...args) => ended(start(args)),
    die: async (phase, environment) => {
      const child = start([phase], environment);
      const run = await ended(child);
      return { ...run, killed: child.signalCode === 'SIGKILL' };
    },
    kill: async (phase, until, environment) => {
      const child = start([phase], environment);
      const end = ended(child);
      try {
        while (!(await until())) {
          if (child.exitCode !== null) throw new Error(`${phase} ended before it was killed: ${(await end).output}`);
          await sleep(10);
        }
      } finally {
        child.kill('SIGKILL');
        await end;
      }
    },
    fences: async () => [(await readFenceState(source))?.kind, (await readFenceState(target))?.kind],
    takesWrites: async (end) => {
      try {
        await probes[end].query('BEGIN; INSERT INTO public.probe VALUES (1); ROLLBACK');
        return true;
      } catch {
        await probes[end].query('ROLLBACK');
        return false;
      }
    },
    rows: async (end, table) => {
      const { rows } = await clients[end].query(`SELECT t::text AS row FROM ${table} t ORDER BY 1`);
      return (rows as { row: string }[]).map(({ row }) => row);
    },
    fact: (name) => context.state.fact(name),
    stop: async () => {
      await stopSupervisor(config);
      const left = new Jobs(config).read('supervise');
      if (left && new Jobs(config).isRunning('supervise')) process.kill(left.process.pid, 'SIGKILL');
      await migration.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
