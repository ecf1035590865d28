import { writeFileSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import { oneLine, UsageError } from '../../../assets/agent/errors';
import { Interrupted, interruptions } from '../../rehearsal/cli/interruption';
import type { Console } from '../../rehearsal/cli/rehearse';
import { closeAllLabs } from '../../rehearsal/lab';
import { describeMachine } from '../machine';
import { describe, figuresOf, missed, type Way, type WayResult } from './figures';
import { measureWay } from './measure';

interface Options {
  readonly cutovers: number;
  readonly scale: number;
  readonly connections: number;
  readonly rate: number;
  readonly sourceVersion: number;
  readonly targetVersion: number;
  readonly only?: Way;
  readonly json?: string;
}

/** A whole number above zero. Throws commander's error. */
function positive(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1) throw new InvalidArgumentError('it must be a whole number above 0.');
  return value;
}

/** The command `bench:cutover`. Returns the exit status: 0 only if every goal was met. */
export async function main(args: readonly string[], { out, err }: Console): Promise<number> {
  const program = new Command('npm run bench:cutover --')
    .description(
      'Moves the writes of a running application to the target and back, over and over, through a pooler (as root) and without one, and measures the pause.',
    )
    .option('--cutovers <n>', 'cutovers of each way, and as many rollbacks', positive, 20)
    .option('--scale <n>', "pgbench's scale; 7 is 0.1 GB, 270 is 4 GB", positive, 7)
    .option('--connections <n>', "the application's writers, which read as well", positive, 16)
    .option('--rate <n>', 'their transactions per second, all together', positive, 300)
    .option('--source-version <major>', "source's PostgreSQL, 10 to 17", positive, 11)
    .option('--target-version <major>', "target's PostgreSQL, 15 to 18", positive, 17)
    .addOption(new Option('--only <way>', 'measure one way; fence is without pooler').choices(['pooler', 'fence']))
    .option('--json <file>', 'write the figures into a file as well')
    .allowExcessArguments(false)
    .configureOutput({ writeOut: (text) => void out.write(text), writeErr: (text) => void err.write(text) })
    .exitOverride();
  let stop: AbortSignal | undefined;
  try {
    program.parse(args, { from: 'user' });
    const { only, json, ...options } = program.opts<Options>();
    const ways: readonly Way[] = only === undefined ? ['pooler', 'fence'] : [only];
    stop = interruptions([out, err]);
    stop.addEventListener('abort', () => void closeAllLabs());
    const say = (line: string): void => void err.write(`${line}\n`);
    say(describeMachine());
    const results: WayResult[] = [];
    for (const way of ways) results.push(await measureWay(way, { ...options, log: say }, stop));
    for (const line of results.flatMap(describe)) out.write(`${line}\n`);
    const figures = `${JSON.stringify(figuresOf(results), null, 2)}\n`;
    if (json !== undefined) writeFileSync(json, figures);
    out.write(figures);
    const goals = results.flatMap(missed);
    for (const line of goals) out.write(`missed: ${line}\n`);
    return goals.length === 0 ? 0 : 1;
  } catch (error) {
    const { code, exitCode, exitStatus } = error as { code?: string; exitCode?: number; exitStatus?: number };
    if (code?.startsWith('commander.') === true) return exitCode === 0 ? 0 : 2;
    const cause: unknown = stop?.aborted === true ? stop.reason : error;
    if (cause instanceof Interrupted) return cause.exitStatus;
    err.write(`bench:cutover: ${oneLine(cause)}\n`);
    return cause instanceof UsageError ? 2 : (exitStatus ?? 1);
  } finally {
    await closeAllLabs();
  }
}
