import { Failure } from '../../assets/agent/errors';
import type { AgentReport } from '../rehearsal/report';
import type { WritersResult } from '../rehearsal/rehearsal';
import { EMPTIED, type RoughResult } from './rough-writers';

/** What a soak came to. */
export interface SoakResult {
  /** How long writers wrote before the cutover, as it was. */
  readonly minutes: number;
  /** How often the migration had to be started; a transaction that holds its locks too long turns a cutover back. */
  readonly attempts: number;
  readonly acknowledgedTransactions: number;
  readonly acknowledgedWrites: number;
  /** Rows that are not as the last acknowledged transaction left them; 0 is the only good number. */
  readonly rowsLostOrDifferent: number;
  /** Rows of both ends that were compared as they stood in the write pause. */
  readonly rowsCompared: number;
  readonly rough: readonly RoughResult[];
  readonly longestPauseSeconds: number;
}

/** What is known when a soak has ended. */
export interface Ended {
  readonly minutes: number;
  readonly attempts: number;
  /** What the rehearsal's writers saw, and what the final database holds of it. */
  readonly writers: Pick<WritersResult, 'statistics' | 'verdict' | 'pause'>;
  readonly rough: readonly RoughResult[];
  /** The comparison of both ends as they stood in the write pause. */
  readonly freeze: NonNullable<AgentReport['cutover']>['freeze'];
}

/** Sums up. Throws Failure for a soak that proves nothing: in which nothing was written, or not all rows were compared. */
export function concludeSoak({ minutes, attempts, writers, rough, freeze }: Ended): SoakResult {
  const { statistics, verdict, pause } = writers;
  if (statistics.acknowledgedWrites === 0)
    throw new Failure("none of the application's writes was acknowledged, so that none could be lost");
  // What a writer has emptied again since then cannot be compared any more; the writer has judged it.
  const left = freeze?.notCompared.filter(({ relation }) => !EMPTIED.includes(relation)) ?? [];
  if (freeze === undefined || freeze.rowsCompared === 0 || left.length > 0)
    throw new Failure(
      `not every row of both ends was compared as it stood in the pause: ${left.map(({ relation, cause }) => `${relation} (${cause})`).join(', ') || 'nothing was'}`,
    );
  return {
    minutes,
    attempts,
    acknowledgedTransactions:
      statistics.acknowledgedTransactions + rough.reduce((sum, { acknowledged }) => sum + acknowledged, 0),
    acknowledgedWrites: statistics.acknowledgedWrites,
    rowsLostOrDifferent:
      verdict.lostWrites + freeze.rowsDifferent + rough.reduce((sum, { problems }) => sum + problems.length, 0),
    rowsCompared: freeze.rowsCompared,
    rough,
    longestPauseSeconds: pause.longestMs / 1000,
  };
}
