import { writeFileSync } from 'node:fs';
import { Option } from 'commander';
import { npmCommand, number, path, runCommand, wholeNumber, type Console } from '../../command-line';
import { closeAllLabs } from '../../rehearsal/lab';
import { describeMachine } from '../machine';
import { describe, figuresOf, missed, missedByGrowth, type Growth, type Way, type WayResult } from './figures';
import { measureWay, type CutoverBenchOptions } from './measure';

/** What is measured: the two ways, and one of them with a small and a large database. */
type Part = Way | 'growth';

interface Options extends Omit<CutoverBenchOptions, 'log' | 'bytes'> {
  readonly only?: Part;
  readonly growth?: true;
  readonly large: number;
  readonly json?: string;
}

/** Cutovers of each database of the growth, and as many rollbacks: the large one takes minutes to migrate. */
const GROWTH_CUTOVERS = 2;

const NAME = 'bench:cutover';

const ABOUT =
  'Moves the writes of a running application to the target and back, over and over, through a pooler (as root) and without one, and measures the pause.';

/** The command `bench:cutover`. Returns the exit status: 0 only if every goal was met. */
export const main = (args: readonly string[], console: Console): Promise<number> =>
  runCommand(NAME, console, async (interrupted) => {
    const {
      only,
      growth: grows,
      large,
      json,
      ...options
    } = npmCommand(NAME, ABOUT, console)
      .option('--cutovers <n>', 'cutovers of each way, and as many rollbacks', wholeNumber, 20)
      .option('--scale <n>', "pgbench's scale; 7 is 0.1 GB", wholeNumber, 7)
      .option('--connections <n>', "the application's writers, which read as well", wholeNumber, 16)
      .option('--rate <n>', 'their transactions per second, all together', wholeNumber, 300)
      .option('--source-version <major>', "source's PostgreSQL, 10 to 17", wholeNumber, 11)
      .option('--target-version <major>', "target's PostgreSQL, 15 to 18", wholeNumber, 17)
      .option('--growth', 'measure as well whether the pause grows with the database, without pooler')
      .option('--large <n>', 'size to which it grows for that; gigabytes', number, 4)
      .addOption(
        new Option('--only <part>', 'measure one part; fence is without pooler').choices(['pooler', 'fence', 'growth']),
      )
      .option('--json <file>', 'write the figures into a file as well', path)
      .parse(args, { from: 'user' })
      .opts<Options>();
    const parts: readonly Part[] = only ? [only] : ['pooler', 'fence', ...(grows ? (['growth'] as const) : [])];
    const stop = interrupted();
    stop.addEventListener('abort', () => void closeAllLabs());
    const say = (line: string): void => void console.err.write(`${line}\n`);
    try {
      say(describeMachine());
      const results: WayResult[] = [];
      let growth: Growth | undefined;
      for (const part of parts) {
        if (part === 'growth') growth = await measureGrowth({ ...options, log: say }, large * 1e9, stop);
        else results.push(await measureWay(part, { ...options, log: say }, stop));
      }
      const all = [...results, ...(growth ? [growth.small, growth.large] : [])];
      for (const line of all.flatMap(describe)) console.out.write(`${line}\n`);
      const figures = `${JSON.stringify(figuresOf(results, growth), null, 2)}\n`;
      if (json !== undefined) writeFileSync(json, figures);
      console.out.write(figures);
      const goals = [...results.flatMap(missed), ...(growth ? missedByGrowth(growth) : [])];
      for (const line of goals) console.out.write(`missed: ${line}\n`);
      return goals.length === 0 ? 0 : 1;
    } finally {
      await closeAllLabs();
    }
  });

/** The same few moves of a database as the scale gives it, and of one that is large. */
async function measureGrowth(options: CutoverBenchOptions, bytes: number, stop: AbortSignal): Promise<Growth> {
  const few = { ...options, cutovers: Math.min(options.cutovers, GROWTH_CUTOVERS) };
  return {
    small: await measureWay('fence', few, stop),
    large: await measureWay('fence', { ...few, bytes }, stop),
  };
}
