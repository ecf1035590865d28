import { writeFileSync } from 'node:fs';
import { Option } from 'commander';
import { npmCommand, runCommand, wholeNumber, type Console } from '../../command-line';
import { closeAllLabs } from '../../rehearsal/lab';
import { describeMachine } from '../machine';
import { describe, figuresOf, missed, type Way, type WayResult } from './figures';
import { measureWay, type CutoverBenchOptions } from './measure';

type Options = Omit<CutoverBenchOptions, 'log'> & { readonly only?: Way; readonly json?: string };

const NAME = 'bench:cutover';

const ABOUT =
  'Moves the writes of a running application to the target and back, over and over, through a pooler (as root) and without one, and measures the pause.';

/** The command `bench:cutover`. Returns the exit status: 0 only if every goal was met. */
export const main = (args: readonly string[], console: Console): Promise<number> =>
  runCommand(NAME, console, async (interrupted) => {
    const { only, json, ...options } = npmCommand(NAME, ABOUT, console)
      .option('--cutovers <n>', 'cutovers of each way, and as many rollbacks', wholeNumber, 20)
      .option('--scale <n>', "pgbench's scale; 7 is 0.1 GB, 270 is 4 GB", wholeNumber, 7)
      .option('--connections <n>', "the application's writers, which read as well", wholeNumber, 16)
      .option('--rate <n>', 'their transactions per second, all together', wholeNumber, 300)
      .option('--source-version <major>', "source's PostgreSQL, 10 to 17", wholeNumber, 11)
      .option('--target-version <major>', "target's PostgreSQL, 15 to 18", wholeNumber, 17)
      .addOption(new Option('--only <way>', 'measure one way; fence is without pooler').choices(['pooler', 'fence']))
      .option('--json <file>', 'write the figures into a file as well')
      .parse(args, { from: 'user' })
      .opts<Options>();
    const ways: readonly Way[] = only === undefined ? ['pooler', 'fence'] : [only];
    const stop = interrupted();
    stop.addEventListener('abort', () => void closeAllLabs());
    const say = (line: string): void => void console.err.write(`${line}\n`);
    try {
      say(describeMachine());
      const results: WayResult[] = [];
      for (const way of ways) results.push(await measureWay(way, { ...options, log: say }, stop));
      for (const line of results.flatMap(describe)) console.out.write(`${line}\n`);
      const figures = `${JSON.stringify(figuresOf(results), null, 2)}\n`;
      if (json !== undefined) writeFileSync(json, figures);
      console.out.write(figures);
      const goals = results.flatMap(missed);
      for (const line of goals) console.out.write(`missed: ${line}\n`);
      return goals.length === 0 ? 0 : 1;
    } finally {
      await closeAllLabs();
    }
  });
