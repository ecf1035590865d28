import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UsageError } from '../../assets/agent/errors';
import { ROOT } from '../bundle';
import { npmCommand, runCommand, type Console } from '../command-line';
import { whenAborted } from '../rehearsal/cli/interruption';
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

const ABOUT = 'Measures Ibex and its peers in turn on servers of its own, and writes docs/benchmarks.md.';

/** The command `bench`. Returns the exit status. */
export const main = (args: readonly string[], console: Console): Promise<number> =>
  runCommand('bench', console, async (interrupted) => {
    const names = BENCHMARKS.map(({ name }) => name).join(', ');
    const options = npmCommand('bench', ABOUT, console)
      .option('--only <names>', `benchmarks to run, separated by commas: ${names}; prints, and writes no report`)
      .option('--quick', 'less data and fewer rounds; writes no report')
      .option('--json <file>', 'writes the figures into a file as well')
      .option('--report <directory>', 'writes the report there, whatever was run')
      .parse(args, { from: 'user' })
      .opts<Options>();
    const chosen = choose(options.only);
    const stop = interrupted();
    const say = (line: string): void => void console.err.write(`${line}\n`);
    const began = performance.now();
    const machine = describeMachine();
    const servers = await startBenchServers({ source: 15, target: 17 }, say);
    const measured: Measured[] = [];
    try {
      for (const benchmark of chosen) {
        say(`${benchmark.name}: ${benchmark.title}`);
        const log = (line: string): void => say(`  ${line}`);
        const outcome = benchmark.run({ servers, quick: options.quick === true, log });
        measured.push({ benchmark, outcome: await Promise.race([outcome, whenAborted(stop)]) });
      }
    } finally {
      await servers.close();
    }
    const figures = `${JSON.stringify(figuresOf(measured), null, 2)}\n`;
    if (options.json !== undefined) writeFileSync(options.json, figures);
    console.out.write(figures);
    const complete = options.quick !== true && options.only === undefined;
    const directory = options.report ?? (complete ? join(ROOT, 'docs') : undefined);
    if (directory !== undefined) writeReport(directory, measured, machine, (performance.now() - began) / 60_000);
    return 0;
  });

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
