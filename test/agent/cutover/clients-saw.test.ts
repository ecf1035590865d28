import { clientKinds, type Found } from '../../../assets/agent/cutover/clients-saw';
import { ClientWatch } from '../../../assets/agent/cutover/client-watch';
import { Timeline } from '../../../assets/agent/cutover/timeline';
import type { Context } from '../../../assets/agent/context';
import type { End } from '../../../assets/agent/endpoints';
import { Switches } from '../../../assets/agent/switch/switches';
import { startPostgres, type TestPostgres } from '../../helpers/postgres';

const steps: Found['steps'] = [
  { step: 'hold clients', startMs: 0, ms: 40 },
  { step: 'fence', startMs: 40, ms: 60 },
  { step: 'open', startMs: 300, ms: 10 },
  { step: 'let clients go on', startMs: 310, ms: 20 },
];
const nothing: Found = {
  left: 'source',
  steps,
  lookedAt: 300,
  held: [],
  seen: [],
  rolledBack: undefined,
  finished: [],
};

describe('what clients saw', () => {
  test('of a pooler is a wait, until they went on, and no error', () => {
    const held = [{ where: 'pooler p', user: 'shop', application: 'web', sessions: 7, longestMs: 280.4 }];
    expect(clientKinds({ ...nothing, held })).toEqual([
      { user: 'shop', application: 'web', sessions: 7, errors: 0, longestWaitMs: 310, how: expect.stringContaining('pooler p') },
    ]); // prettier-ignore
  });

  test('without one are refusals, from the fence until the other end opened, for those who asked at all', () => {
    const seen = [
      { user: 'shop', application: 'web', asked: 3, hidden: 0 },
      { user: 'shop', application: 'idle', asked: 0, hidden: 0 },
    ];
    expect(clientKinds({ ...nothing, seen })).toEqual([
      { user: 'shop', application: 'web', sessions: 3, errors: 3, longestWaitMs: 270, how: expect.stringContaining('source') },
    ]); // prettier-ignore
  });

  test('when writes were given back ends there', () => {
    const back: Found['steps'] = [...steps.slice(0, 2), { step: 'give writes back', startMs: 500, ms: 40 }];
    const seen = [{ user: 'shop', application: '', asked: 1, hidden: 0 }];
    expect(clientKinds({ ...nothing, steps: back, seen })).toMatchObject([{ longestWaitMs: 500 }]);
  });

  test('are sessions that were ended, and transactions that were rolled back', () => {
    const ended = [{ user: 'shop', application: 'web', sessions: 2 }];
    const found = { ...nothing, rolledBack: 12, finished: [{ switch: 'a', done: 'did', ended }, { switch: 'b' }] };
    expect(clientKinds(found)).toEqual([
      { user: 'shop', application: 'web', sessions: 2, errors: 2, how: expect.stringContaining('ended') },
      { errors: 12, how: expect.stringContaining('rolled back') },
    ]);
  });
});

describe('the watch over the clients', () => {
  let server: TestPostgres;
  beforeAll(async () => {
    server = await startPostgres({});
  });
  afterAll(() => server?.stop());

  const kept: unknown[] = [];
  const contextOf = (connect: () => Promise<unknown>): Context =>
    ({
      real: (end: End) => end,
      connect,
      evidence: (...evidence: unknown[]) => Promise.resolve(kept.push(evidence)),
    }) as unknown as Context;

  test('finds those who asked since writes were stopped, and counts what was rolled back', async () => {
    const [asking, quiet] = [await server.connect(), await server.connect()];
    await asking.query(`SET application_name = 'asking'`);
    await quiet.query(`SET application_name = 'quiet'`);
    const watch = await ClientWatch.open(
      contextOf(async () => {
        const client = await server.connect();
        await client.query(`SET application_name = 'ibex cutover'`);
        return client;
      }),
      new Switches([]),
    );
    const timeline = new Timeline(10_000);
    await timeline.step('fence', async () => {
      for (let time = 0; time < 3; time += 1) await asking.query('BEGIN; ROLLBACK');
      // Else the server counts them a second later.
      await asking.query('SELECT pg_stat_force_next_flush()');
    });
    watch.look(timeline);
    const saw = await watch.told([], timeline);
    expect(saw.unknown).toEqual([]);
    const [kind, all] = saw.kinds;
    expect(kind).toMatchObject({ user: 'postgres', application: 'asking', sessions: 1, errors: 1 });
    expect(all?.errors).toBeGreaterThanOrEqual(3);
    expect(saw.kinds).toHaveLength(2);
    expect(kept).toEqual([['what clients saw', true, expect.any(String), saw]]);
    await Promise.all([asking.end(), quiet.end()]);
  });

  test('says what it could not know, and fails nothing', async () => {
    const held = () => Promise.reject(new Error('no console'));
    const mute = { name: 'mute', limitMs: 1, finishMs: 1, check: () => Promise.resolve([]), held };
    const watch = await ClientWatch.open(
      contextOf(() => Promise.reject(new Error('no route'))),
      new Switches([mute]),
    );
    const timeline = new Timeline(10_000);
    watch.look(timeline);
    expect(await watch.told([], timeline)).toEqual({
      kinds: [],
      unknown: ['sessions on the source: no route', 'clients that were held: no console'],
    });
  });
});
