import type { Context } from '../context';
import type { End } from '../endpoints';
import { Failure } from '../errors';
import { readLogin } from '../secrets';
import type { PoolerConfig } from './config';
import { Console, type ConsoleLogin } from './console';
import { all, Poolers } from './pooler';
import { recordedSide, recordSide, type SideRecord } from './pooler-side';
import type { Switch } from './switch';

/** Longest time that commands to the poolers may take, but for the wait for transactions; milliseconds. */
const LIMIT_MS = 3_600_000;
/** Longest time of recording the side; milliseconds. */
const RECORD_MS = 30_000;

/**
 * The poolers as a switch: PAUSE before writes are stopped, RELOAD to the other side with writes stopped, RESUME when
 * they are open there, and then the record for those that start later.
 */
export function poolerSwitch(context: Context): Switch {
  const { pooler: config, secrets } = context.config;
  if (!config)
    throw new Failure('cutover.switches names the pooler, and the configuration has none; add endpoint.pooler');
  let poolers: Poolers | undefined;
  const login = (): Promise<ConsoleLogin> => readLogin(secrets, config.secret);
  /** Anew for each use: a console is cut off when it was silent for long. */
  const connect = async (): Promise<Poolers> => {
    poolers?.close();
    poolers = undefined;
    poolers = await Poolers.connect(config, await login());
    return poolers;
  };
  const connected = async (): Promise<Poolers> => poolers ?? (await connect());
  const record = sideRecord(config, secrets.kind === 'aws' ? secrets.region : undefined);
  return {
    name: `pooler ${config.consoles.map(({ host, port }) => `${host}:${port}`).join(' and ')}`,
    limitMs: LIMIT_MS,
    finishMs: RECORD_MS,
    check: async (to) => {
      const sides = await (await connect()).sides();
      const from: End = to === 'target' ? 'source' : 'target';
      const recorded = await recordedSide(record);
      return [
        ...Object.entries(sides).flatMap(([name, side]) =>
          side === from ? [] : [`${name} is on ${side ?? 'no known side'} and not on the ${from}`],
        ),
        ...(recorded === from ? [] : [`the recorded side is ${recorded}, and a pooler that restarts would go there`]),
      ];
    },
    held: async () => (await poolers?.held()) ?? [],
    hold: async (_to, time) => (await connect()).pause(time),
    move: async (to) => {
      await (await connected()).lead(to);
      return `the poolers lead to the ${to}`;
    },
    // Led once more: a pooler that was paused for longer than it may has ended that, and gone back, by itself. Each by
    // itself: one that is dead keeps the clients of no other waiting.
    release: async (to) => {
      await all(config.consoles, async (address) => {
        const known = poolers?.session(address);
        if (known && (await goOn(known, to).then(...SUCCEEDED))) return;
        const anew = await Console.connect(address, await login(), config.database);
        await goOn(anew, to).finally(() => anew.close());
      });
    },
    finish: async (to) => {
      await recordSide(record, to);
      // One that restarted before the record came up on the other side.
      await (await connect()).lead(to);
      return `a pooler that restarts goes to the ${to}`;
    },
    close: () => poolers?.close(),
  };
}

async function goOn(console: Console, side: End): Promise<void> {
  await console.lead(side);
  await console.resume();
}

/** Turns a promise into whether it was kept. */
const SUCCEEDED = [() => true, () => false] as const;

function sideRecord({ side }: PoolerConfig, region: string | undefined): SideRecord {
  if ('file' in side) return side;
  if (region === undefined) throw new Failure('pooler.side.parameter needs secrets of AWS, which name the region');
  return { region, parameter: side.parameter };
}
