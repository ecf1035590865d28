/** Waits so many milliseconds, or until the signal is raised; never fails. Tests hand in a shorter one. */
export type Sleep = (milliseconds: number, signal?: AbortSignal) => Promise<void>;

const LONGEST_TIMER = 2 ** 31 - 1;

/** Waits in real time, longer than one timer of Node can (24 days) too. */
export const realSleep: Sleep = async (milliseconds, signal) => {
  if (milliseconds <= 0 || signal?.aborted === true) return;
  await oneTimer(Math.min(milliseconds, LONGEST_TIMER), signal);
  await realSleep(milliseconds - LONGEST_TIMER, signal);
};

const oneTimer = (milliseconds: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const finish = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    const timer = setTimeout(finish, milliseconds);
    signal?.addEventListener('abort', finish, { once: true });
  });

/** Resolves when the signal is raised. */
export const raised = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
