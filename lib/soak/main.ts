import { Command, InvalidArgumentError } from 'commander';
import { oneLine } from '../../assets/agent/errors';
import type { Console } from '../rehearsal/cli/rehearse';
import { Interrupted, interruptions } from '../rehearsal/cli/interruption';
import { soak, type SoakOptions, type SoakResult } from './soak';

type Options = Omit<SoakOptions, 'log'>;

/** A number above zero. Throws commander's error. */
function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('it must be a number above 0.');
  return value;
}

/** The command `soak`. Returns the exit status: 0 only if no row was lost or is different. */
export async function main(args: readonly string[], { out, err }: Console): Promise<number> {
  const program = new Command('npm run soak --')
    .description(
      'A whole migration under an application that updates keys, deletes, truncates, takes back savepoints and holds transactions open, for as long as you like.',
    )
    .option('--minutes <n>', 'how long the sync goes on before the cutover', positive, 60)
    .option('--connections <n>', "the application's writers", positive, 16)
    .option('--rate <n>', 'their transactions per second, all together', positive, 300)
    .option('--source-version <major>', "source's PostgreSQL, 10 to 17", positive, 11)
    .option('--target-version <major>', "target's PostgreSQL, 15 to 18", positive, 17)
    .option('--scale <n>', "pgbench's scale", positive, 5)
    .allowExcessArguments(false)
    .configureOutput({ writeOut: (text) => void out.write(text), writeErr: (text) => void err.write(text) })
    .exitOverride();
  let stop: AbortSignal | undefined;
  try {
    program.parse(args, { from: 'user' });
    stop = interruptions([out, err]);
    const result = await soak({ ...program.opts<Options>(), log: (line) => void err.write(`${line}\n`) }, stop);
    out.write(summary(result));
    return result.rowsLostOrDifferent === 0 ? 0 : 1;
  } catch (error) {
    const { code, exitCode, exitStatus } = error as { code?: string; exitCode?: number; exitStatus?: number };
    if (code?.startsWith('commander.') === true) return exitCode === 0 ? 0 : 2;
    const cause: unknown = stop?.aborted === true ? stop.reason : error;
    if (cause instanceof Interrupted) return cause.exitStatus;
    err.write(`soak: ${oneLine(cause)}\n`);
    return exitStatus ?? 1;
  }
}

/** What a person wants to know, in a few lines. */
export function summary(result: SoakResult): string {
  const count = (value: number): string => value.toLocaleString('en');
  return [
    `${count(result.rowsLostOrDifferent)} rows lost or different`,
    `${count(result.acknowledgedTransactions)} acknowledged transactions, ${count(result.acknowledgedWrites)} writes of rows, in ${result.minutes} min and the migration around them, which was started ${result.attempts} times`,
    `longest write pause ${result.longestPauseSeconds.toFixed(1)} s`,
    ...result.rough.map(({ writer, acknowledged }) => `${writer}: ${count(acknowledged)} transactions`),
    ...result.rough.flatMap(({ problems }) => problems),
    '',
  ].join('\n');
}
