import type { End } from '../endpoints';
import type { HookMoments, Moment } from './config';
import type { Time } from './in-time';
import type { Switch } from './switch';

/** Whatever runs a hook: a program, a document of Systems Manager, a function. */
export interface HookRunner {
  /** In words, for report and messages. */
  readonly name: string;
  check(timeoutMs: number, time: Time): Promise<readonly string[]>;
  /** Runs it to its end. Throws Failure when it fails; ends it, and waits for that, when its time is over. */
  run(moment: Moment, to: End, time: Time): Promise<void>;
}

/** A hook as a switch: it is run at the moments that the settings name. */
export function hook(runner: HookRunner, { at = ['switch'], timeoutSeconds }: HookMoments): Switch {
  const timeoutMs = timeoutSeconds * 1000;
  const run = (moment: Moment) => (to: End, time: Time) => runner.run(moment, to, time);
  return {
    name: runner.name,
    limitMs: timeoutMs,
    finishMs: timeoutMs,
    check: (_to, time) => runner.check(timeoutMs, time),
    ...(at.includes('beforeFreeze') && { hold: run('beforeFreeze') }),
    ...(at.includes('switch') && {
      move: async (to: End, time: Time) => {
        await run('switch')(to, time);
        return `${runner.name} moved the clients to the ${to}`;
      },
    }),
    ...(at.includes('afterOpen') && {
      finish: async (to: End, time: Time) => {
        await run('afterOpen')(to, time);
        return `${runner.name} ran after the ${to} was opened`;
      },
    }),
  };
}
