import { mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { UsageError } from '../../assets/agent/errors';
import { ROOT } from '../bundle';
import { npmCommand, path, runCommand, wholeNumber, type Console } from '../command-line';
import { whenAborted } from '../rehearsal/cli/interruption';
import { DEBIAN_POSTGRES } from '../rehearsal/lab/packages';
import type { Benchmark } from './benchmark';
import { capture } from './capture';
import { catchUp, longBacklog } from './catch-up';
import { copy, snapshots } from './copy';
import { DataSets } from './data-sets';
import { removeDatabases } from './data';
import { installDelay } from './install-delay';
import { lag } from './lag';
import { manyTables } from './many-tables';
import { describeMachine, describeTools } from './machine';
import { debian13Pgcopydb } from './pgcopydb';
import { toJson, writeReport } from './report';
import { planOf, runAll, type Measured } from './run';
import { startBenchServers } from './servers';
import { verify } from './verify';

/** All that can be measured, in the order in which it is: what has goals first. */
const BENCHMARKS: readonly Benchmark[] = [
  copy,
  snapshots,
  verify,
  capture,
  installDelay,
  lag,
  catchUp,
  longBacklog,
  manyTables,
];

const MAJORS = { source: 15, target: 17 };

interface Options {
  readonly json?: string;
  readonly quick?: boolean;
  readonly only?: string;
  readonly rounds?: number;
  readonly report?: string;
}

const ABOUT = 'Measures Ibex and its peers in turn on servers of its own, and writes docs/benchmarks.md.';

/** The command `bench`. Returns the exit status: 1 when anything could not be measured; the rest is written all the same. */
export const main = (args: readonly string[], console: Console): Promise<number> =>
  runCommand('bench', console, async (interrupted) => {
    const names = BENCHMARKS.map(({ name }) => name).join(', ');
    const options = npmCommand('bench', ABOUT, console)
      .option('--only <names>', `benchmarks to run, separated by commas: ${names}; prints, and writes no report`)
      .option('--quick', 'less data and fewer rounds; writes no report')
      .option('--rounds <n>', 'so many rounds of all, whatever the figures ask for; writes no report', wholeNumber)
      .option('--json <file>', 'writes the figures into a file as well', path)
      .option('--report <directory>', 'writes the report there, whatever was run', path)
      .parse(args, { from: 'user' })
      .opts<Options>();
    const chosen = choose(options.only);
    const measured = await measure(chosen, options, console, interrupted());
    const figures = toJson(measured);
    console.out.write(figures);
    return measured.some(({ failures }) => failures.length > 0) ? 1 : 0;
  });

async function measure(
  chosen: readonly Benchmark[],
  options: Options,
  { err }: Console,
  stop: AbortSignal,
): Promise<readonly Measured[]> {
  const say = (line: string): void => void err.write(`${line}\n`);
  const quick = options.quick === true;
  const began = performance.now();
  const machine = describeMachine();
  for (const line of [machine, ...planOf(chosen, quick)]) say(line);
  const newer = await debian13Pgcopydb(say);
  // pgcopydb, which starts pg_dump and pg_restore by name, finds those that are measured beside it.
  process.env['PATH'] = [newer, DEBIAN_POSTGRES, process.env['PATH']].filter(Boolean).join(delimiter);
  const servers = await startBenchServers(MAJORS, say);
  const data = new DataSets(servers);
  const complete = !quick && options.only === undefined && options.rounds === undefined;
  const rounds = (usual: number): number => options.rounds ?? (quick ? 1 : usual);
  const directory = options.report ?? (complete ? join(ROOT, 'docs') : undefined);
  const keep = (measured: readonly Measured[]): void => {
    if (options.json !== undefined) {
      mkdirSync(dirname(options.json), { recursive: true });
      writeFileSync(options.json, toJson(measured));
    }
    if (directory === undefined) return;
    const minutes = (performance.now() - began) / 60_000;
    writeReport(directory, measured, { machine, tools: describeTools(MAJORS), minutes, quick });
  };
  try {
    const clean = (): Promise<void> => removeDatabases(servers, data.databases);
    const running = runAll(chosen, { servers, data, quick, rounds, log: say }, { clean, keep, stop });
    return await Promise.race([running, whenAborted(stop)]);
  } finally {
    await servers.close();
  }
}

function choose(only: string | undefined): readonly Benchmark[] {
  if (only === undefined) return BENCHMARKS;
  return only.split(',').map((name) => {
    const found = BENCHMARKS.find((benchmark) => benchmark.name === name.trim());
    if (found) return found;
    throw new UsageError(
      `--only "${name}" is no benchmark; choose of ${BENCHMARKS.map((each) => each.name).join(', ')}`,
    );
  });
}
