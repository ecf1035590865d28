/** Work of one kind that may run beside other work. */
export interface Task<Worker> {
  /** What it needs for itself alone, such as the tables that it locks. */
  readonly needs: readonly (string | number)[];
  /** What it needs while others may use it too, though none for itself alone. @default nothing */
  readonly shares?: readonly (string | number)[];
  /** Resolves with a task that is to follow it, if there is one. */
  readonly run: (worker: Worker) => Promise<Task<Worker> | void>;
}

/**
 * A set of workers, such as connections, for tasks that may be added while others run. They are begun in their order as
 * far as what they need is free. After the first failure no further task is begun.
 */
export class TaskPool<Worker> {
  private readonly waiting: Task<Worker>[] = [];
  private readonly taken = new Set<string | number>();
  private readonly shared = new Map<string | number, number>();
  private readonly failures: unknown[] = [];
  private readonly workers: Promise<unknown>;
  private wakeAll: (() => void)[] = [];
  private closed = false;

  constructor(workers: readonly Worker[]) {
    this.workers = Promise.all(workers.map((worker) => this.work(worker)));
  }

  add(...tasks: readonly Task<Worker>[]): void {
    this.waiting.push(...tasks);
    this.wake();
  }

  /** Waits until everything that was added is done; those under way are awaited after a failure, which is then thrown. */
  async finish(): Promise<void> {
    this.closed = true;
    this.wake();
    await this.workers;
    if (this.failures.length > 0) throw this.failures[0];
  }

  private async work(worker: Worker): Promise<void> {
    for (;;) {
      if (this.failures.length > 0 || (this.closed && this.waiting.length === 0)) return;
      const task = this.next();
      if (!task) {
        await new Promise<void>((resolve) => this.wakeAll.push(resolve));
        continue;
      }
      this.hold(task);
      try {
        const next = await task.run(worker);
        if (next) this.waiting.unshift(next);
      } catch (error) {
        this.failures.push(error);
      }
      this.release(task);
    }
  }

  private next(): Task<Worker> | undefined {
    const index = this.waiting.findIndex(
      ({ needs, shares = [] }) =>
        needs.every((need) => !this.taken.has(need) && !this.shared.has(need)) &&
        shares.every((share) => !this.taken.has(share)),
    );
    return index < 0 ? undefined : this.waiting.splice(index, 1)[0];
  }

  private hold({ needs, shares = [] }: Task<Worker>): void {
    for (const need of needs) this.taken.add(need);
    for (const share of shares) this.shared.set(share, (this.shared.get(share) ?? 0) + 1);
  }

  private release({ needs, shares = [] }: Task<Worker>): void {
    for (const need of needs) this.taken.delete(need);
    for (const share of shares) {
      const others = (this.shared.get(share) ?? 1) - 1;
      if (others > 0) this.shared.set(share, others);
      else this.shared.delete(share);
    }
    this.wake();
  }

  private wake(): void {
    const woken = this.wakeAll;
    this.wakeAll = [];
    for (const wake of woken) wake();
  }
}

/**
 * Runs tasks on a set of workers, in their order as far as what they need is free. After the first failure no further
 * task is started; those under way are awaited, then that failure is thrown.
 */
export async function runTasks<Worker>(tasks: readonly Task<Worker>[], workers: readonly Worker[]): Promise<void> {
  const pool = new TaskPool(workers);
  pool.add(...tasks);
  await pool.finish();
}

/** Does work on every piece, at most so many at a time, and ends as `runTasks` does. */
export async function sideBySide<T>(
  most: number,
  pieces: readonly T[],
  work: (piece: T) => Promise<void>,
): Promise<void> {
  const tasks = pieces.map((piece) => ({ needs: [], run: () => work(piece) }));
  await runTasks(tasks, Array.from({ length: Math.min(most, pieces.length) }));
}
