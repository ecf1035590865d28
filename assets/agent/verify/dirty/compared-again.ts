import { setTimeout as sleep } from 'node:timers/promises';
import type { Relation } from '../../catalog/relations';
import type { Context } from '../../context';
import { DirtyKeys } from './dirty-keys';

/** How long the marked keys may not become fewer until it is given up that they will; milliseconds. */
const PATIENCE_MS = 60_000;

/** Time between two looks; milliseconds. */
const LOOK_MS = 1_000;

/** How often it is looked, and for how long in vain; replaced in tests. */
export interface Patience {
  readonly lookMs: number;
  readonly patienceMs: number;
}

/**
 * Waits, after a comparison of everything, until the sync has compared again what was changed meanwhile: to half of what
 * the gate lets through, so that a cutover that follows at once is not refused, and for as long as it becomes fewer.
 * Returns how many keys are left; it is for the gate to judge them.
 */
export async function untilComparedAgain(
  context: Pick<Context, 'config' | 'connectMemory' | 'progress' | 'log'>,
  relations: readonly Relation[],
  { lookMs, patienceMs }: Patience = { lookMs: LOOK_MS, patienceMs: PATIENCE_MS },
): Promise<number> {
  const { config, progress, log } = context;
  const dirty = await DirtyKeys.open(context);
  const few = config.ready.keysToCompare / 2;
  let fewest = Infinity;
  let since = performance.now();
  let most = 0;
  try {
    for (;;) {
      const { keys } = await dirty.count(relations);
      if (keys <= few || config.verify.dirtyKeysPerSecond === 0) return keys;
      most = Math.max(most, keys);
      progress.report(most - keys, most, 'keys', 'changed meanwhile, compared again by the sync');
      if (keys < fewest) [fewest, since] = [keys, performance.now()];
      else if (performance.now() - since > patienceMs) {
        log.warn(
          { keys, perSecond: config.verify.dirtyKeysPerSecond },
          'keys are changed as fast as they are compared',
        );
        return keys;
      }
      await sleep(lookMs);
    }
  } finally {
    await dirty.close();
  }
}
