import { setTimeout as sleep } from 'node:timers/promises';
import { sideBySide } from '../../../../assets/agent/verify/dirty/side-by-side';

it('does every piece, no more at a time than allowed', async () => {
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

it('begins nothing after a failure, and waits for what is under way before it throws', async () => {
  const log: string[] = [];
  const pieces = ['fails', 'goes on', 'is not begun'];
  const work = async (piece: string): Promise<void> => {
    log.push(piece);
    if (piece === 'fails') throw new Error(piece);
    await sleep(10);
    log.push('ended');
  };
  await expect(sideBySide(2, pieces, work)).rejects.toThrow('fails');
  expect(log).toEqual(['fails', 'goes on', 'ended']);
});
