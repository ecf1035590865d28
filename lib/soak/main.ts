import { npmCommand, number, runCommand, type Console } from '../command-line';
import type { SoakResult } from './result';
import { soak, type SoakOptions } from './soak';

type Options = Omit<SoakOptions, 'log'>;

const ABOUT =
  'A whole migration under an application that updates keys, deletes, truncates, takes back savepoints and holds transactions open, for as long as you like.';

/** The command `soak`. Returns the exit status: 0 only if no row was lost or is different. */
export const main = (args: readonly string[], console: Console): Promise<number> =>
  runCommand('soak', console, async (interrupted) => {
    const options = npmCommand('soak', ABOUT, console)
      .option('--minutes <n>', 'how long the sync goes on before the cutover', number, 60)
      .option('--connections <n>', "the application's writers", number, 16)
      .option('--rate <n>', 'their transactions per second, all together', number, 300)
      .option('--source-version <major>', "source's PostgreSQL, 10 to 17", number, 11)
      .option('--target-version <major>', "target's PostgreSQL, 15 to 18", number, 17)
      .option('--scale <n>', "pgbench's scale", number, 5)
      .parse(args, { from: 'user' })
      .opts<Options>();
    const result = await soak({ ...options, log: (line) => void console.err.write(`${line}\n`) }, interrupted());
    console.out.write(summary(result));
    return result.rowsLostOrDifferent === 0 ? 0 : 1;
  });

/** What a person wants to know, in a few lines. */
export function summary(result: SoakResult): string {
  const count = (value: number): string => value.toLocaleString('en');
  return [
    `${count(result.rowsLostOrDifferent)} rows lost or different`,
    `${count(result.acknowledgedTransactions)} acknowledged transactions, ${count(result.acknowledgedWrites)} writes of rows, in ${result.minutes} min and the migration around them, which was started ${result.attempts} times`,
    `${count(result.rowsCompared)} rows of both ends compared as they stood in the pause`,
    `longest write pause ${result.longestPauseSeconds.toFixed(1)} s`,
    ...result.rough.map(({ writer, acknowledged }) => `${writer}: ${count(acknowledged)} transactions`),
    ...result.rough.flatMap(({ problems }) => problems),
    '',
  ].join('\n');
}
