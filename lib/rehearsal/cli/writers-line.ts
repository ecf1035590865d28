import type { WorkloadStatistics } from '../workload/statistics';
import { count, shortRate } from './text';

/** Time over which the rate is taken; milliseconds. */
const WINDOW_MS = 3000;

/** What the writers do now, in a few words: acknowledged writes, their rate over the last seconds, errors. */
export class WritersLine {
  private readonly samples: { readonly at: number; readonly writes: number }[] = [];

  /** @param now milliseconds, from a clock that never goes back */
  constructor(private readonly now: () => number = () => performance.now()) {}

  /** @returns '' before the writers start */
  text(statistics: WorkloadStatistics | undefined): string {
    if (!statistics) return '';
    const { acknowledgedWrites: writes, clientErrors } = statistics;
    const at = this.now();
    this.samples.push({ at, writes });
    while (this.samples[1] && at - this.samples[1].at >= WINDOW_MS) this.samples.shift();
    const first = this.samples[0] ?? { at, writes };
    const rate = at > first.at ? ((writes - first.writes) * 1000) / (at - first.at) : 0;
    const errors = clientErrors === 1 ? '1 error' : `${count(clientErrors)} errors`;
    return `${count(writes)} writes acknowledged, ${shortRate(rate)}/s, ${errors}`;
  }
}
