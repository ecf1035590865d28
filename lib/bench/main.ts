import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { Failure, oneLine, UsageError } from '../../assets/agent/errors';
import { ROOT } from '../bundle';
import type { Benchmark } from './benchmark';
import { capture, installDelay } from './capture';
import { catchUp, longBacklog } from './catch-up';
import { copy, snapshots } from './copy';
import { describeMachine } from './machine';
import { figuresOf, writeReport, type Measured } from './report';
import { startBenchServers } from './servers';
import { verify } from './verify';

/** All that can be measured, in the order in which it is. */
const BENCHMARKS: readonly Benchmark[] = [copy, snapshots, capture, installDelay, catchUp, longBacklog, verify];

interface Options {
  readonly json?: string;
  readonly quick?: boolean;
  readonly only?: string;
  readonly report?: string;
}

/** The command line of the benchmarks. Returns the exit status. */
export async function main(args: readonly string[]): Promise<number> {
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  const names = BENCHMARKS.map(({ name }) => name).join(', ');
  const program = new Command('npm run bench --')
    .description('Measures Ibex and its peers in turn on servers of its own, and writes docs/benchmarks.md.')
    .option('--only <names>', `benchmarks to run, separated by commas: ${names}; prints, and writes no report`)
    .option('--quick', 'less data and fewer rounds; writes no report')
    .option('--json <file>', 'writes the figures into a file as well')
    .option('--report <directory>', 'writes the report there, whatever was run', undefined)
    .allowExcessArguments(false)
    .exitOverride();
  try {
    program.parse(args, { from: 'user' });
    await run(program.opts<Options>(), say);
    return 0;
  } catch (error) {
    const { exitCode, code } = error as { exitCode?: number; code?: string };
    if (code?.startsWith('commander.')) return exitCode === 0 ? 0 : 2;
    say(error instanceof Failure || error instanceof UsageError ? error.message : oneLine(error));
    return error instanceof UsageError ? 2 : 1;
  }
}

async function run(options: Options, say: (line: string) => void): Promise<void> {
  const chosen = choose(options.only);
  const began = performance.now();
  const machine = describeMachine();
  const servers = await startBenchServers({ source: 15, target: 17 }, say);
  const interrupt = (): void => void servers.close().finally(() => process.exit(130));
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  const measured: Measured[] = [];
  try {
    for (const benchmark of chosen) {
      say(`${benchmark.name}: ${benchmark.title}`);
      const outcome = await benchmark.run({ servers, quick: options.quick === true, log: (line) => say(`  ${line}`) });
      measured.push({ benchmark, outcome });
    }
  } finally {
    await servers.close();
  }
  const figures = figuresOf(measured);
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(figures, null, 2)}\n`);
  process.stdout.write(`${JSON.stringify(figures, null, 2)}\n`);
  const complete = options.quick !== true && options.only === undefined;
  const directory = options.report ?? (complete ? join(ROOT, 'docs') : undefined);
  if (directory !== undefined) {
    writeReport(directory, measured, machine, (performance.now() - began) / 60_000);
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
