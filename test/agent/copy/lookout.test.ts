import type { Client } from 'pg';
import { Lookout } from '../../../assets/agent/copy/lookout';
import { Schedule, type Plan } from '../../../assets/agent/copy/schedule';
import { startPostgres, type TestPostgres } from '../../helpers/postgres';

let host: TestPostgres;
let client: Client;
let schedule: Schedule;
beforeAll(async () => {
  host = await startPostgres();
  client = await host.connect();
  await client.query('CREATE SCHEMA ibex');
  schedule = new Schedule(client);
});
afterAll(() => host.stop());

/** A relation that was cut into so many chunks of 10 bytes. */
const cut = (relation: string, rank: number, chunks: number, kind: 'whole' | 'pages' = 'whole'): Plan => ({
  relation,
  plan: relation,
  file: '1',
  rank,
  bytes: 10 * chunks,
  parts: Array.from({ length: chunks }, () =>
    kind === 'whole' ? { kind } : { kind, from: 0, to: 1 },
  ) as Plan['parts'],
});

/** Copies so many chunks, each of three rows, in the order of work. */
async function copy(chunks: number): Promise<void> {
  for (let i = 0; i < chunks; i += 1) {
    const chunk = await schedule.take();
    if (chunk === undefined) throw new Error('no chunk is left');
    await schedule.done(chunk, 3);
  }
}

const seen = async (lookout: Lookout): Promise<string[]> =>
  (await lookout.look()).complete.map(({ relation, byPages }) => `${relation}${byPages ? ' by pages' : ''}`);

beforeEach(async () => {
  await schedule.prepare();
  await schedule.keepOnly([]);
  await schedule.put([cut('large', 0, 3, 'pages'), cut('small', 1, 1), cut('other', 2, 2)]);
});

describe('the lookout over a copy', () => {
  it('sees each relation once, when its last chunk is done', async () => {
    const lookout = new Lookout(client);
    expect(await seen(lookout)).toEqual([]);
    await copy(2);
    expect(await seen(lookout)).toEqual([]);
    await copy(2);
    expect(await seen(lookout)).toEqual(['large by pages', 'small']);
    expect(await seen(lookout)).toEqual([]);
    await copy(2);
    expect(await seen(lookout)).toEqual(['other']);
    expect(await seen(lookout)).toEqual([]);
  });

  it('adds up what was done over all its looks', async () => {
    const lookout = new Lookout(client);
    const all = { bytes: 60, relations: 3 };
    expect((await lookout.look()).progress).toEqual({ ...all, bytesDone: 0, rows: 0, relationsDone: 0 });
    await copy(4);
    expect((await lookout.look()).progress).toEqual({ ...all, bytesDone: 40, rows: 12, relationsDone: 2 });
    await copy(1);
    await lookout.look();
    expect((await lookout.look()).progress).toEqual({ ...all, bytesDone: 50, rows: 15, relationsDone: 2 });
  });

  it('sees once more all that is complete when the copy is started again, whoever saw it before', async () => {
    const before = new Lookout(client);
    await copy(3);
    expect(await seen(before)).toEqual(['large by pages']);
    await copy(1);
    await schedule.prepare();
    const lookout = new Lookout(client);
    const { complete, progress } = await lookout.look();
    expect(complete.map(({ relation }) => relation)).toEqual(['large', 'small']);
    expect(progress).toMatchObject({ bytesDone: 40, rows: 12, relationsDone: 2 });
    expect(await seen(lookout)).toEqual([]);
  });

  it('sees what only the target knew to be done', async () => {
    const lookout = new Lookout(client);
    await schedule.reconcile([{ relation: 'small', number: 0, rows: 7 }]);
    expect(await seen(lookout)).toEqual(['small']);
    expect((await lookout.look()).progress).toMatchObject({ rows: 7, relationsDone: 1 });
  });

  it('sees no relation that has failed, nor one whose last chunk somebody has in hand', async () => {
    const lookout = new Lookout(client);
    await copy(3);
    const chunk = await schedule.take();
    expect(chunk?.relation).toBe('small');
    await schedule.failed('small', 'its values are too long');
    const worker = await host.connect();
    const other = new Schedule(worker);
    try {
      for (let i = 0; i < 2; i += 1) {
        const own = await other.take();
        expect(await seen(lookout)).toEqual(i === 0 ? ['large by pages'] : []);
        await other.done(own!, 3);
      }
      expect(await seen(lookout)).toEqual(['other']);
    } finally {
      await worker.end();
    }
  });

  it('reads nothing of what it has seen: a look is by index, however many relations are complete', async () => {
    const many = Array.from({ length: 3_000 }, (_, i) => cut(`many ${i}`, 3 + i, 1));
    await schedule.put(many);
    await client.query(`UPDATE ibex.copy_chunk SET done = true, unseen = true, rows = 1 WHERE relation LIKE 'many %'`);
    const lookout = new Lookout(client);
    expect(await seen(lookout)).toHaveLength(3_000);
    await client.query('ANALYZE ibex.copy_chunk');
    await copy(6);
    await client.query(`LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_analyze = on`);
    await client.query(`SET client_min_messages = log`);
    const plans: string[] = [];
    client.on('notice', ({ message }) => plans.push(message ?? ''));
    expect(await seen(lookout)).toEqual(['large by pages', 'small', 'other']);
    await client.query('SET auto_explain.log_min_duration = -1; RESET client_min_messages');
    const plan = plans.find((text) => text.includes('Update on copy_chunk'));
    expect(plan).toContain('copy_chunk_unseen');
    expect(plan).not.toContain('Seq Scan on copy_chunk');
  });
});
