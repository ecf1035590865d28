import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Relation } from '../../../../assets/agent/catalog/relations';
import { Context } from '../../../../assets/agent/context';
import { untilComparedAgain } from '../../../../assets/agent/verify/dirty/compared-again';
import { DirtyKeys } from '../../../../assets/agent/verify/dirty/dirty-keys';
import { agentConfig, startEnds, type Ends } from '../ends';

const LIMIT = 100;
const PATIENCE = { lookMs: 10, patienceMs: 400 };

let ends: Ends;
let directory: string;
let context: Context;
let dirty: DirtyKeys;
let relation: Relation;
beforeAll(async () => {
  ends = await startEnds();
  directory = mkdtempSync(join(tmpdir(), 'ibex-again-'));
  const config = agentConfig(ends, directory);
  context = await Context.create({ ...config, ready: { ...config.ready, keysToCompare: LIMIT } }, 'verify');
  dirty = await DirtyKeys.open(context);
  await ends.run('both', 'CREATE TABLE public.t (k text PRIMARY KEY)');
  relation = await ends.relation('"public"."t"');
});
afterAll(async () => {
  await dirty.close();
  await context.close();
  rmSync(directory, { recursive: true });
  await ends.stop();
});
beforeEach(() => dirty.forgetAll());

const mark = (from: number, keys: number): Promise<void> =>
  dirty.mark(
    relation,
    Array.from({ length: keys }, (_, i) => [`k${from + i}`]),
  );

/** Compares so many of the oldest at once, as the sync does beside. */
async function compare(keys: number): Promise<void> {
  await dirty.clear(await dirty.oldest([relation], keys));
}

describe('verify, when it has compared everything', () => {
  it('waits until half of what the gate lets through is left to compare', async () => {
    await mark(0, 10 * LIMIT);
    const state = { ended: false };
    const waiting = untilComparedAgain(context, [relation], { ...PATIENCE, patienceMs: Infinity });
    void waiting.finally(() => (state.ended = true));
    for (let left = 10 * LIMIT; left > LIMIT / 2; left -= LIMIT / 2) {
      expect(state.ended).toBe(false);
      await compare(LIMIT / 2);
    }
    expect(await waiting).toBe(LIMIT / 2);
  });

  it('waits for nothing when little is left', async () => {
    await mark(0, LIMIT / 2);
    expect(await untilComparedAgain(context, [relation], { ...PATIENCE, patienceMs: Infinity })).toBe(LIMIT / 2);
  });

  it('gives up where as many are changed as are compared, and leaves it to the gate', async () => {
    await mark(0, 3 * LIMIT);
    const state = { ended: false };
    const waiting = untilComparedAgain(context, [relation], PATIENCE).finally(() => (state.ended = true));
    for (let at = 3 * LIMIT; !state.ended; at += 10) {
      await mark(at, 10);
      await compare(10);
    }
    expect(await waiting).toBeGreaterThanOrEqual(3 * LIMIT);
  });

  it('does not wait for what nobody compares: the setting says that all is left to the pause', async () => {
    await mark(0, 3 * LIMIT);
    const { config } = context;
    const never = { ...config, verify: { ...config.verify, dirtyKeysPerSecond: 0 } };
    const { log, progress } = context;
    const within = { config: never, log, progress, connectMemory: () => context.connectMemory() };
    expect(await untilComparedAgain(within, [relation], { ...PATIENCE, patienceMs: Infinity })).toBe(3 * LIMIT);
  });
});
