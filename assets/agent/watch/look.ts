import { oneLine } from '../errors';
import { inTime } from '../switch/in-time';
import { alarmCheck } from './alarm-check';
import { connectionCheck } from './connection-check';
import type { Check, Finding, LookAt } from './finding';
import { healthCheck } from './health-check';
import { logCheck } from './log-check';
import { strayCheck } from './stray-check';
import { wayBackCheck } from './way-back-check';

/** Longest time of one check; milliseconds. A server that answers later serves nobody. */
const LONGEST_MS = 20_000;

/** The findings of one look, by the name of the check. */
export type Look = ReadonlyMap<string, Finding>;

/** The checks of one watch, in the order in which they are asked; some remember what they saw at the look before. */
export const makeChecks = (): readonly Check[] => [
  healthCheck,
  logCheck(),
  alarmCheck,
  connectionCheck,
  strayCheck(),
  wayBackCheck,
];

/** Asks every check, also after one that is bad or that nobody answers. */
export async function lookOnce(checks: readonly Check[], at: LookAt): Promise<Look> {
  const look = new Map<string, Finding>();
  const limit = Math.max(
    LONGEST_MS,
    1000 * at.config.ready.health.timeoutSeconds * (at.config.ready.health.target.length + 1),
  );
  for (const check of checks) {
    try {
      look.set(check.name, await inTime(check.name, limit, () => check.ask(at)));
    } catch (error) {
      at.sessions.renew();
      look.set(check.name, { verdict: check.unasked, figure: 'no answer', cause: oneLine(error) });
    }
  }
  return look;
}

/** Those that are bad, in one line; undefined when none is. */
export function whatIsBad(look: Look): string | undefined {
  const lines = [...look]
    .filter(([, { verdict }]) => verdict === 'bad')
    .map(([name, { figure, cause }]) => `${name}: ${figure}${cause === undefined ? '' : ` (${cause})`}`);
  return lines.length === 0 ? undefined : lines.join('; ');
}
