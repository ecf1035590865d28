import { Client } from 'pg';
import { admitBucardo } from '../../../assets/agent/bucardo/login';
import type { Endpoint } from '../../../assets/agent/endpoints';
import { Lease } from '../../../assets/agent/lease';
import { takeOver } from '../../../assets/agent/sync/applier';
import { startMoving, type Moving } from '../catch-up/moving';

let moving: Moving;
beforeAll(async () => {
  moving = await startMoving('CREATE TABLE public.item (id int PRIMARY KEY, label text)', 'SELECT 1');
});
afterAll(() => moving.migration.stop());

/** A child's session whose process is gone from this host, so that nothing here can end it. */
async function childOf({ host, port, database, user, password }: Endpoint): Promise<Client> {
  const client = new Client({ host, port, database, user, password, application_name: 'bucardo KID (ibex) (PID 11)' });
  client.on('error', () => undefined);
  await client.connect();
  await client.query('BEGIN');
  return client;
}

/** Keys that children have read at the source, and that are deleted there before any of them commits. */
const HELD = { idle: 1, 'at work': 2 };

it('rows that a child of Bucardo holds uncommitted are gone with the take-over, and it can commit no more', async () => {
  const { context, source } = moving;
  const ends = { source: await context.connect('source'), target: await context.connect('target') };
  const yesterday = await Lease.take(ends.target, 'bucardo');
  const there = await admitBucardo(context, ends.target, [moving.relation('item')]);
  await source.query(`INSERT INTO item SELECT i, 'of yesterday' FROM generate_series(1, 3) i`);

  const idle = await childOf(there);
  await idle.query(`SET LOCAL session_replication_role = 'replica'; INSERT INTO item VALUES (${HELD.idle}, 'held')`);
  const busy = await childOf(there);
  await busy.query(`INSERT INTO item VALUES (${HELD['at work']}, 'held')`);
  const work = busy.query('SELECT pg_sleep(20)').catch((error: Error) => error.message);
  const note = await childOf(await context.endpoint('source'));
  await note.query(
    `INSERT INTO bucardo.track_public_item SELECT txntime, 'dbgroup ibex' FROM bucardo.delta_public_item`,
  );
  await source.query(`DELETE FROM item WHERE id <= 2; UPDATE item SET label = 'of today' WHERE id = 3`);

  moving.lease = await takeOver(context, ends);
  expect(Number(moving.lease.generation)).toBeGreaterThan(Number(yesterday.generation));
  await moving.apply('item');
  for (const child of [idle, note]) await expect(child.query('COMMIT')).rejects.toThrow();
  expect(await work).toContain('terminating connection');
  const known = await moving.target.query(`SELECT rolcanlogin FROM pg_roles WHERE rolname = 'ibex_bucardo'`);
  expect(known.rows).toEqual([{ rolcanlogin: false }]);
  expect(await moving.rows('target', 'item')).toEqual(['(3,"of today")']);
  expect(await moving.rows('source', 'item')).toEqual(['(3,"of today")']);
  expect(await moving.queued('item')).toBe(0);
  const noted = await source.query('SELECT FROM bucardo.track_public_item');
  expect(noted.rowCount).toBe(0);
});
