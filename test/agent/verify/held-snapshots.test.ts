import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Relation } from '../../../assets/agent/catalog/relations';
import { Context } from '../../../assets/agent/context';
import { openSnapshotHolders } from '../../../assets/agent/verify/held-snapshots';
import { until } from '../../helpers/until';
import { agentConfig, startEnds, type Ends } from './ends';

let ends: Ends;
let directory: string;
let context: Context;
beforeAll(async () => {
  ends = await startEnds();
  await ends.run('both', 'CREATE TABLE public.t (id int PRIMARY KEY, v text)');
  await ends.run('both', 'CREATE TABLE public.u (id text PRIMARY KEY)');
  directory = mkdtempSync(join(tmpdir(), 'ibex-verify-'));
  context = await Context.create(agentConfig(ends, directory), 'cutover');
});
afterAll(async () => {
  await context.close();
  rmSync(directory, { recursive: true });
  await ends.stop();
});
beforeEach(async () => {
  await ends.run('both', 'TRUNCATE public.t, public.u');
  await ends.run('both', `INSERT INTO public.t SELECT g, 'v' FROM generate_series(1, 2000) g`);
  await ends.run('both', `INSERT INTO public.u SELECT 'u' || g FROM generate_series(1, 2000) g`);
});

const relations = (): Promise<Relation[]> => ends.relations('"public"."t"', '"public"."u"');
const change = (end: 'source' | 'target', id: number): Promise<void> =>
  ends.run(end, `UPDATE public.t SET v = 'changed' WHERE id = ${id}; DELETE FROM public.u WHERE id = 'u${id}'`);

it('shows both ends as they stood, whatever is written afterwards', async () => {
  const held = await (await openSnapshotHolders(context)).hold();
  await change('source', 1);
  await change('target', 2);
  await ends.run('source', `INSERT INTO public.t VALUES (-1, 'late')`);
  const result = await held.compare(await relations());
  expect(result).toMatchObject({ ok: true, rowsCompared: 4000, rowsDifferent: 0, relations: 2, examples: [] });
});

it('finds what differed when they were held', async () => {
  await change('target', 2);
  const holders = await openSnapshotHolders(context);
  const held = await holders.hold();
  await change('source', 2);
  const { ok, rowsDifferent, examples } = await held.compare(await relations());
  expect({ ok, rowsDifferent }).toEqual({ ok: false, rowsDifferent: 2 });
  expect(examples).toEqual(
    expect.arrayContaining([
      { relation: '"public"."t"', key: ['2'], kind: 'different' },
      { relation: '"public"."u"', key: ['u2'], kind: 'missing on target' },
    ]),
  );
});

it('holds the snapshot of the moment, not of when its sessions were opened', async () => {
  const holders = await openSnapshotHolders(context);
  await change('target', 3);
  const held = await holders.hold();
  expect(await held.compare(await relations())).toMatchObject({ rowsDifferent: 2 });
});

it.each(['source', 'target'] as const)(
  'says that a relation which was emptied on the %s since then cannot be compared, and never that its rows differ',
  async (end) => {
    const held = await (await openSnapshotHolders(context)).hold();
    await ends.run(end, `BEGIN; TRUNCATE public.t; INSERT INTO public.t VALUES (1, 'new'); COMMIT`);
    const result = await held.compare(await relations());
    expect(result).toMatchObject({ ok: false, rowsDifferent: 0, relations: 1, rowsCompared: 2000 });
    expect(result.notCompared).toEqual([
      { relation: '"public"."t"', cause: expect.stringMatching(`^it was emptied or rewritten on the ${end} `) },
    ]);
  },
);

it('says so of one that was rewritten between two of its chunks, too', async () => {
  const held = await (await openSnapshotHolders(context)).hold();
  let chunks = 0;
  const emptied: Promise<void>[] = [];
  const result = await held.compare(await relations(), ({ relation }) => {
    if (relation === '"public"."t"' && (chunks += 1) === 1) emptied.push(ends.run('target', 'TRUNCATE public.t'));
  });
  await Promise.all(emptied);
  expect(result.notCompared.map(({ relation }) => relation)).toEqual(['"public"."t"']);
  expect(result.rowsDifferent).toBe(0);
});

it('keeps no application from a table that it has read, while it reads another', async () => {
  const config = agentConfig(ends, directory);
  const alone = await Context.create({ ...config, verify: { ...config.verify, jobs: 1 } }, 'cutover');
  const held = await (await openSnapshotHolders(alone)).hold();
  const [t, u] = (await relations()) as [Relation, Relation];
  const blocker = await ends.open('target');
  await blocker.query('BEGIN; LOCK TABLE public.u');
  let read = 0;
  const comparing = held.compare([{ ...u, bytes: t.bytes + 1 }, t], ({ rows }) => (read = rows));
  await until(() => read === 2000);
  await ends.run('target', `SET statement_timeout = '20s'; TRUNCATE public.t; RESET statement_timeout`);
  await blocker.end();
  expect(await comparing).toMatchObject({ ok: true, relations: 2, rowsCompared: 4000 });
  await alone.close();
});

it('reports every relation as not compared when a snapshot is gone', async () => {
  const held = await (await openSnapshotHolders(context)).hold();
  await ends.source.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ibex snapshot'`,
  );
  await gone('ibex snapshot');
  const result = await held.compare(await relations());
  expect(result).toMatchObject({ ok: false, relations: 0, rowsCompared: 0 });
  expect(result.notCompared.map(({ relation }) => relation).sort()).toEqual(['"public"."t"', '"public"."u"']);
  expect(result.notCompared[0]?.cause).toContain('snapshot');
});

it('holds back nothing once it is released or has compared', async () => {
  const held = await (await openSnapshotHolders(context)).hold();
  await held.compare(await relations());
  await held.release();
  const unused = await openSnapshotHolders(context);
  await unused.close();
  await gone('ibex snapshot');
  await gone('ibex compare at freeze');
});

/** Waits until no session of that name is left on the source. */
async function gone(name: string): Promise<void> {
  for (;;) {
    const { rows } = await ends.source.query('SELECT FROM pg_stat_activity WHERE application_name = $1', [name]);
    if (rows.length === 0) return;
    await sleep(10);
  }
}
