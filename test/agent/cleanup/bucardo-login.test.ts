import type { Client } from 'pg';
import { dropBucardoLogin } from '../../../assets/agent/cleanup/bucardo-login';
import { startPostgres, type TestPostgres } from '../../helpers/postgres';
import { until } from '../../helpers/until';

let target: TestPostgres;
beforeAll(async () => {
  target = await startPostgres({ version: 15 });
});
afterAll(() => target?.stop());

const GRANTED = `
  CREATE TABLE item (id int PRIMARY KEY); CREATE TABLE other (id int PRIMARY KEY); CREATE ROLE ibex_bucardo;
  GRANT USAGE ON SCHEMA public TO ibex_bucardo; GRANT SELECT, INSERT, DELETE ON item, other TO ibex_bucardo`;

const waits = async (watch: Client): Promise<boolean> =>
  (await watch.query(`SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'`)).rowCount === 1;

/** Codes of the statements that failed, of those that a session has sent since. */
function watchFailures(client: Client): () => Promise<unknown[]> {
  const { mock } = jest.spyOn(client, 'query');
  return async () => {
    const outcomes = await Promise.allSettled(mock.results.map(({ value }) => value as unknown));
    return outcomes.flatMap((each) => (each.status === 'rejected' ? [(each.reason as { code?: string }).code] : []));
  };
}

test.each([
  ['has truncated a table and goes on', 'TRUNCATE item', ['item', 'other'], []],
  ['has dropped a table', 'DROP TABLE item', ['other'], ['42P01']],
])('Bucardo’s login goes beside an application that %s', async (_, statement, left, failures) => {
  const [ours, application, watch] = await Promise.all([target.connect(), target.connect(), target.connect()]);
  await ours.query(GRANTED);
  await application.query(`BEGIN; ${statement}`);
  const failed = watchFailures(ours);

  const dropped = dropBucardoLogin(ours, 100_000);
  await until(() => waits(watch));
  await application.query('COMMIT');
  await dropped;

  // Without the lock, the server refuses what meets the application in the catalogs.
  expect(await failed()).toEqual(failures);
  expect((await watch.query(`SELECT FROM pg_roles WHERE rolname = 'ibex_bucardo'`)).rowCount).toBe(0);
  const { rows } = await watch.query(`SELECT relname FROM pg_class WHERE relname IN ('item', 'other') ORDER BY 1`);
  expect(rows).toEqual(left.map((relname) => ({ relname })));
  await watch.query('DROP TABLE IF EXISTS item, other');
  await Promise.all([ours, application, watch].map((client) => client.end()));
});

test('who has a table for himself for hours does not keep it', async () => {
  const [ours, application] = await Promise.all([target.connect(), target.connect()]);
  await ours.query(GRANTED);
  await application.query('BEGIN; LOCK TABLE item');

  await dropBucardoLogin(ours, 10);

  expect((await ours.query(`SELECT FROM pg_roles WHERE rolname = 'ibex_bucardo'`)).rowCount).toBe(0);
  await application.query('ROLLBACK; DROP TABLE item, other');
  await Promise.all([ours, application].map((client) => client.end()));
});

test('who has truncated a table and does not come to an end is told by the table, and keeps it till then', async () => {
  const [ours, application] = await Promise.all([target.connect(), target.connect()]);
  await ours.query(GRANTED);
  await application.query('BEGIN; TRUNCATE item');

  await expect(dropBucardoLogin(ours, 10)).rejects.toThrow(
    'somebody has "public"."item" for himself; end that, or wait, and start cleanup again',
  );
  await application.query('COMMIT');
  await dropBucardoLogin(ours, 10_000);

  expect((await ours.query(`SELECT FROM pg_roles WHERE rolname = 'ibex_bucardo'`)).rowCount).toBe(0);
  await application.query('DROP TABLE item, other');
  await Promise.all([ours, application].map((client) => client.end()));
});
