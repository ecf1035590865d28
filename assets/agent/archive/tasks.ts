/** Work of one kind that may run beside other work. */
export interface Task<Worker> {
  /** What it needs for itself alone, such as the tables that it locks. */
  readonly needs: readonly (string | number)[];
  readonly run: (worker: Worker) => Promise<void>;
}

/**
 * Runs tasks on a set of workers, such as connections, in their order as far as what they need is free. After the first
 * failure no further task is started; those under way are awaited, then that failure is thrown.
 */
export async function runTasks<Worker>(tasks: readonly Task<Worker>[], workers: readonly Worker[]): Promise<void> {
  const waiting = [...tasks];
  const taken = new Set<string | number>();
  const failures: unknown[] = [];
  let wakeAll: (() => void)[] = [];
  const next = (): Task<Worker> | undefined => {
    const index = waiting.findIndex((task) => task.needs.every((need) => !taken.has(need)));
    return index < 0 ? undefined : waiting.splice(index, 1)[0];
  };
  const work = async (worker: Worker): Promise<void> => {
    while (waiting.length > 0 && failures.length === 0) {
      const task = next();
      if (!task) {
        await new Promise<void>((resolve) => wakeAll.push(resolve));
        continue;
      }
      for (const need of task.needs) taken.add(need);
      try {
        await task.run(worker);
      } catch (error) {
        failures.push(error);
      }
      for (const need of task.needs) taken.delete(need);
      const woken = wakeAll;
      wakeAll = [];
      for (const wake of woken) wake();
    }
  };
  await Promise.all(workers.map(work));
  if (failures.length > 0) throw failures[0];
}
