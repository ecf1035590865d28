import type { End } from '../endpoints';
import type { OwnBudget } from './config';
import type { HeldClients } from './console';
import type { Time } from './in-time';
import type { SessionsOf } from './old-sessions';

/** Longest time of a move, by the settings; without any of its own it has `usualMs` of the pause's budget. */
export const moveTime = ({ budgetSeconds }: OwnBudget, usualMs: number): Pick<Switch, 'limitMs' | 'ownBudget'> =>
  budgetSeconds === undefined ? { limitMs: usualMs } : { limitMs: budgetSeconds * 1000, ownBudget: true };

/** What a switch has done for the clients, where words are not all. */
export interface Done {
  /** In words, for report and messages. */
  readonly done: string;
  /** Sessions of clients that it ended, by kind. */
  readonly ended: readonly SessionsOf[];
}

/**
 * One way in which clients move. Every call is told how long it has: it settles soon after that,
 * and then nothing of it goes on. Every call may be repeated, also where an earlier run of the program had begun.
 */
export interface Switch {
  /** In words, for report and messages. */
  readonly name: string;
  /** Longest time of `hold` and `move`; milliseconds. The budget of the pause may leave it less. */
  readonly limitMs: number;
  /** Whether it has that time for `move` beside the budget of the pause. @default false */
  readonly ownBudget?: boolean;
  /** Longest time of `finish`, when nobody waits any more; milliseconds. */
  readonly finishMs: number;
  /** What stands in the way of moving the clients to this end; changes nothing. */
  check(to: End, time: Time): Promise<readonly string[]>;
  /** The end to which the clients are led now; undefined for neither. Absent where nobody can tell. Changes nothing. */
  leads?(time: Time): Promise<End | undefined>;
  /** First of all in the pause, before writes are stopped. Throws Failure with everything as it was. */
  hold?(to: End, time: Time): Promise<void>;
  /** Whom it keeps waiting at this moment. Changes nothing, and no call of the others waits for it. */
  held?(): Promise<readonly HeldClients[]>;
  /** Moves the clients, while neither end takes writes. Returns what was done, in words. */
  move?(to: End, time: Time): Promise<string>;
  /** Lets those go on that were held; the first thing when their end takes writes. */
  release?(to: End, time: Time): Promise<void>;
  /** What follows and may be slow. Returns what was done, in words. */
  finish?(to: End, time: Time): Promise<string | Done>;
  /** Ends sessions; changes nothing for the clients. */
  close?(): void;
}
