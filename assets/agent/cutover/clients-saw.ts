import type { HeldClients } from '../switch/console';
import type { SessionsOf } from '../switch/old-sessions';
import type { Finished } from '../switch/switches';
import type { Seen } from './old-end';
import type { StepName } from './steps';
import type { Step } from './timeline';

/** What one kind of client saw of a write pause; without user and application, all clients together. */
export interface ClientKind {
  readonly user?: string;
  /** `application_name`; empty where the client gives none. */
  readonly application?: string;
  readonly sessions?: number;
  /** Sessions, or transactions, that met an error, as far as `how` can tell. */
  readonly errors: number;
  /** Longest that one of them waited or was refused; milliseconds. Absent where nobody can tell. */
  readonly longestWaitMs?: number;
  /** Where this is known from, in words. */
  readonly how: string;
}

/** What is known of the clients of a write pause without asking them. */
export interface ClientsSaw {
  readonly kinds: readonly ClientKind[];
  /** What could not be known, each with its cause. */
  readonly unknown: readonly string[];
}

/** What was found on the way. */
export interface Found {
  /** Name of the end that was left. */
  readonly left: string;
  readonly steps: readonly Step[];
  /** When the look began; milliseconds since the pause did. */
  readonly lookedAt: number;
  readonly held: readonly HeldClients[];
  readonly seen: readonly Seen[];
  /** Transactions rolled back on the end that was left; undefined where nobody could count. */
  readonly rolledBack: number | undefined;
  readonly finished: readonly Finished[];
}

/** Puts it together, a row for each kind of client and each way in which it is known. */
export function clientKinds(found: Found): ClientKind[] {
  const { left, steps, lookedAt, held, seen, rolledBack, finished } = found;
  const wentOnAt = endOf(steps, ['let clients go on', 'switch back']);
  const refusedMs = Math.round(endOf(steps, ['open', 'give writes back']) - startOf(steps, 'fence'));
  return [
    ...held.map(({ where, longestMs, ...kind }) => ({
      ...kind,
      errors: 0,
      longestWaitMs: Math.round(longestMs + Math.max(0, wentOnAt - lookedAt)),
      how: `waited at ${where}: SHOW CLIENTS right before they went on`,
    })),
    ...seen
      .filter(({ asked }) => asked > 0)
      .map(({ user, application, asked }) => ({
        user,
        application,
        sessions: asked,
        errors: asked,
        longestWaitMs: refusedMs,
        how: `asked the ${left} for something while it refused writes, so at most so many were refused, and so long: pg_stat_activity`,
      })),
    ...endedKinds(finished, left),
    ...(rolledBack === undefined
      ? []
      : [
          {
            errors: Math.max(0, rolledBack),
            how: `transactions rolled back on the ${left} since before the pause, for any cause and by anybody, as far as the server has counted by now: pg_stat_database`,
          },
        ]),
  ];
}

/** Those whose sessions a switch has ended. */
export const endedKinds = (finished: readonly Finished[], left: string): ClientKind[] =>
  finished
    .flatMap(({ ended = [] }) => ended)
    .map(({ user, application, sessions }: SessionsOf) => ({
      user,
      application,
      sessions,
      errors: sessions,
      how: `sessions on the ${left} that were ended once writes were open`,
    }));

const startOf = (steps: readonly Step[], name: StepName): number =>
  steps.find(({ step }) => step === name)?.startMs ?? 0;

/** End of the last of these steps. */
const endOf = (steps: readonly Step[], names: readonly StepName[]): number =>
  Math.max(0, ...steps.filter(({ step }) => names.includes(step)).map(({ startMs, ms }) => startMs + ms));
