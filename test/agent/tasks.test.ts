import { setTimeout as sleep } from 'node:timers/promises';
import { runTasks, sideBySide } from '../../assets/agent/tasks';

it('runs side by side what needs different things, and one after the other what needs the same', async () => {
  const running = new Set<string>();
  let most = 0;
  const task = (need: string) => ({
    needs: [need],
    run: async () => {
      expect(running.has(need)).toBe(false);
      running.add(need);
      most = Math.max(most, running.size);
      await sleep(5);
      running.delete(need);
    },
  });
  await runTasks(['a', 'a', 'b', 'a', 'c', 'b'].map(task), [1, 2, 3]);
  expect(most).toBeGreaterThan(1);
});

it('starts nothing more after a failure, awaits what is under way, and throws the first failure', async () => {
  const log: string[] = [];
  const tasks = [
    { needs: [], run: () => Promise.reject(new Error('first')) },
    { needs: [], run: () => sleep(20).then(() => void log.push('second ended')) },
    { needs: [], run: () => Promise.resolve(void log.push('third started')) },
  ];
  await expect(runTasks(tasks, [1, 2])).rejects.toThrow('first');
  expect(log).toEqual(['second ended']);
});

it('begins what follows a task as soon as what it needs is free', async () => {
  const log: string[] = [];
  const note = (text: string) => (): Promise<void> => sleep(5).then(() => void log.push(text));
  const constraint = { needs: ['table'], run: note('constraint') };
  const tasks = [
    { needs: [], shares: ['table'], run: () => note('its index')().then(() => constraint) },
    { needs: [], shares: ['table'], run: () => sleep(15).then(note('another index')) },
    { needs: [], shares: ['other'], run: note('index of another table') },
  ];
  await runTasks(tasks, [1, 2]);
  expect(log).toEqual(['its index', 'index of another table', 'another index', 'constraint']);
});

it('does work on every piece, no more at a time than allowed', async () => {
  const done: number[] = [];
  let running = 0;
  let most = 0;
  await sideBySide(3, [1, 2, 3, 4, 5, 6, 7], async (piece) => {
    most = Math.max(most, (running += 1));
    await sleep(5);
    running -= 1;
    done.push(piece);
  });
  expect(done.sort()).toEqual([1, 2, 3, 4, 5, 6, 7]);
  expect(most).toBe(3);
});
