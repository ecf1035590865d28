import { Failure } from '../errors';
import type { StepName } from './steps';

/** One step of the write pause. */
export interface Step {
  readonly step: StepName;
  /** Milliseconds since the pause began. */
  readonly startMs: number;
  readonly ms: number;
}

/** Measures each step of the pause and holds all of them to the time budget. */
export class Timeline {
  readonly steps: Step[] = [];
  private readonly begun = performance.now();

  constructor(private readonly budgetMs: number) {}

  /** Milliseconds since the pause began. */
  elapsed(): number {
    return performance.now() - this.begun;
  }

  /** Milliseconds that are left of the budget. */
  left(): number {
    return this.budgetMs - this.elapsed();
  }

  /**
   * Runs one step. With `bounded`, gives up when the budget is spent and throws Failure that names the step; the step's
   * own work may go on for a moment, so it must be harmless when late.
   */
  async step<T>(name: StepName, work: () => Promise<T>, bounded = true): Promise<T> {
    const startMs = this.elapsed();
    try {
      return bounded ? await this.inTime(name, work) : await work();
    } finally {
      this.steps.push({
        step: name,
        startMs: Math.round(startMs),
        ms: Math.round((this.elapsed() - startMs) * 10) / 10,
      });
    }
  }

  private async inTime<T>(name: StepName, work: () => Promise<T>): Promise<T> {
    const spent = (): Failure =>
      new Failure(`the time budget of ${this.budgetMs / 1000} s was spent at step "${name}"`);
    if (this.left() <= 0) throw spent();
    let timer: NodeJS.Timeout | undefined;
    const over = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(spent()), this.left());
    });
    try {
      return await Promise.race([work(), over]);
    } finally {
      clearTimeout(timer);
    }
  }
}
