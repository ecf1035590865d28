import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { closeTarget, fenceGaps, openTarget } from '../../../assets/agent/fence/target';
import { fenceSource } from '../../../assets/agent/fence/source';
import { removeFence } from '../../../assets/agent/fence/triggers';
import { readFenceState } from '../../../assets/agent/fence/objects';
import { until } from '../../helpers/until';
import { aroundSource, refusal, REFUSED, TABLES, WRITES } from './around-source';

const here = aroundSource();

describe('the fence around the target', () => {
  let master: Client;
  beforeAll(async () => {
    const context = await here.migration.context('schema');
    master = await context.connect('target');
    await master.query(`SET search_path = public`);
    await master.query(TABLES);
    await closeTarget(context, master);
  });

  it('refuses the master user, who owns the tables, and lets appliers in replica role pass', async () => {
    const own = WRITES.filter(([, statement]) => !/SET ROLE|PROGRAM/.test(statement));
    for (const [, statement] of own) {
      expect(await refusal(master, statement)).toBe(REFUSED);
      const applied = `SET LOCAL session_replication_role = 'replica'; ${statement}`;
      expect(await refusal(master, applied)).toBeUndefined();
    }
  });

  it('holds also over a crash of its server, and opens after one', async () => {
    await here.migration.target.kill();
    await here.migration.target.start();
    master = await (await here.migration.context('schema')).connect('target');
    await master.query('SET search_path = public');
    expect(await readFenceState(master)).toEqual({ kind: 'closed' });
    expect(await fenceGaps(master)).toEqual([]);
    expect(await refusal(master, 'INSERT INTO item VALUES (9)')).toBe(REFUSED);
    await openTarget(master);
    await here.migration.target.kill();
    await here.migration.target.start();
    master = await (await here.migration.context('schema')).connect('target');
    await master.query('SET search_path = public');
    expect(await refusal(master, 'INSERT INTO item VALUES (9)')).toBeUndefined();
    await closeTarget(await here.migration.context('schema'), master);
  });

  it('stands for good until it is opened, for all tables at once, and may be closed again', async () => {
    expect(await readFenceState(master)).toEqual({ kind: 'closed' });
    await openTarget(master);
    expect(await readFenceState(master)).toEqual({ kind: 'open' });
    expect(await refusal(master, 'INSERT INTO measure VALUES (3); INSERT INTO item VALUES (9)')).toBeUndefined();
    await closeTarget(await here.migration.context('schema'), master);
    expect(await refusal(master, 'INSERT INTO item VALUES (9)')).toBe(REFUSED);
  });

  it('names each table where it was switched off, on for appliers, or taken off, and is mended by closing again', async () => {
    const context = await here.migration.context('schema');
    await closeTarget(context, master);
    expect(await fenceGaps(master)).toEqual([]);
    await master.query(`ALTER TABLE item DISABLE TRIGGER USER; ALTER TABLE child ENABLE ALWAYS TRIGGER ibex_fence;
      DROP TRIGGER ibex_fence ON keyless`);
    expect(await refusal(master, 'INSERT INTO item VALUES (9)')).toBeUndefined();
    expect(await fenceGaps(master)).toEqual([
      'the fence of "public"."child" is disabled',
      'the fence of "public"."item" is disabled',
      '"public"."keyless" has no fence',
    ]);
    await closeTarget(context, master);
    expect(await fenceGaps(master)).toEqual([]);
    expect(await refusal(master, 'INSERT INTO item VALUES (9)')).toBe(REFUSED);
    expect(await refusal(master, `SET LOCAL session_replication_role = 'replica'; DELETE FROM child`)).toBeUndefined();
  });

  it('is taken off table by table; what is busy, or not ours, is named and keeps a fence that lets through', async () => {
    await openTarget(master);
    await (await here.migration.admin('target')).query('ALTER TABLE public.keyless OWNER TO postgres');
    const reader = await here.migration.admin('target');
    await reader.query('BEGIN; SELECT * FROM public.item');
    expect(await removeFence(master)).toEqual([
      '"public"."item" (busy)',
      '"public"."keyless" (must be owner of relation keyless)',
    ]);
    expect(await refusal(master, 'INSERT INTO item VALUES (9)')).toBeUndefined();
    await reader.query('COMMIT');
    await reader.query('ALTER TABLE public.keyless OWNER TO master');
    expect(await removeFence(master)).toEqual([]);
    const { rows } = await master.query(`SELECT count(*)::int AS n FROM pg_trigger WHERE tgname = 'ibex_fence'`);
    expect(rows).toEqual([{ n: 0 }]);
  });

  it('keeps the readers of a busy table waiting for a moment only while it is taken off', async () => {
    await closeTarget(await here.migration.context('schema'), master);
    await openTarget(master);
    const [reader, another] = [await here.migration.admin('target'), await here.migration.admin('target')];
    await reader.query('BEGIN; SELECT * FROM public.item');
    const removed = removeFence(master);
    const waiting = `SELECT FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'`;
    while ((await reader.query(waiting)).rowCount === 0) await sleep(5);
    await another.query(`SET statement_timeout = '1s'`);
    await another.query('SELECT * FROM public.item');
    expect(await removed).toEqual(['"public"."item" (busy)']);
    await reader.query('COMMIT');
    expect(await removeFence(master)).toEqual([]);
  });

  it('lets a reader go before that asks for more of the table while it is taken off', async () => {
    await closeTarget(await here.migration.context('schema'), master);
    await openTarget(master);
    const [reader, watcher] = [await here.migration.admin('target'), await here.migration.admin('target')];
    await reader.query('BEGIN; SELECT * FROM public.item');
    const removed = removeFence(master);
    const waiting = `SELECT FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'`;
    await until(async () => (await watcher.query(waiting)).rowCount === 1, { everyMs: 5, seconds: 20 });
    await reader.query('LOCK TABLE public.item; COMMIT');
    expect(await removed).toEqual([]);
  });

  it('fails with the cause that no further try mends, whatever was in the way of those before', async () => {
    const writer = await here.migration.admin('target');
    await writer.query('BEGIN; INSERT INTO public.item VALUES (9)');
    const proof = fenceSource(master, 60, performance.now() + 10_000).catch((error: Error) => error.message);
    const waiting = `SELECT FROM pg_locks WHERE NOT granted AND mode = 'ShareRowExclusiveLock'`;
    while ((await writer.query(waiting)).rowCount === 0) await sleep(5);
    const other = await here.migration.admin('target');
    await other.query('CREATE TABLE public.another (id int)');
    expect(await proof).toMatch(/^writes could not be stopped in \d+ tries: permission denied for table another;/);
    await writer.query('ROLLBACK');
    await other.query('DROP TABLE public.another');
  });
});
