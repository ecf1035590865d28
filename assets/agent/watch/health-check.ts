import { firstOf } from '../ready/gate';
import { probeHealth } from '../ready/health';
import { readFenceState } from '../fence/objects';
import { bad, ok, warn, type Check } from './finding';

/** The application's own probes, those that `ready` asks, and whether the target lets writes through. */
export const healthCheck: Check = {
  name: 'application health',
  query: 'readFenceState of the target; ready.health: statements on the target, and the command',
  unasked: 'bad',
  ask: async ({ config, sessions }) => {
    const target = await sessions.on('target');
    const fence = (await readFenceState(target))?.kind ?? 'none';
    if (fence !== 'none' && fence !== 'open') return bad(`the fence of the target is "${fence}"`, 'it refuses writes');
    const results = await probeHealth(config.ready.health, { target });
    if (results.length === 0) return warn('nobody asks', 'name statements or a command in agent.ready.health');
    const ill = results.filter(({ problem }) => problem !== undefined);
    const slowest = Math.max(...results.map(({ ms }) => ms));
    return ill.length === 0
      ? ok(`${results.length} probes are well, the slowest took ${slowest} ms`)
      : bad(
          `${ill.length} of ${results.length} probes are not well`,
          firstOf(ill.map(({ end, probe, problem }) => `${end}, ${probe}: ${problem}`)),
        );
  },
};
