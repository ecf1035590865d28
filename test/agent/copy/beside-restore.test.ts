import { dumpRows } from '../../../assets/agent/dump';
import { restoreRows } from '../../../assets/agent/restore';
import { CopyTest } from '../../helpers/copy-test';
import { until } from '../../helpers/until';

let copy: CopyTest;
beforeAll(async () => {
  copy = await CopyTest.start();
});
afterAll(() => copy.migration.stop());
beforeEach(() =>
  copy.prepare('CREATE TABLE item (id int PRIMARY KEY); INSERT INTO item SELECT generate_series(1, 3000); ANALYZE'),
);

/** Whether a session of the phase waits on the target for such a lock. */
const waits = async (phase: string, event: string): Promise<boolean> =>
  (
    await copy.one<{ waits: boolean }>(
      'target',
      `SELECT EXISTS (SELECT FROM pg_stat_activity
         WHERE application_name = 'ibex ${phase}' AND wait_event_type = 'Lock' AND wait_event = '${event}') AS waits`,
    )
  ).waits;

it('what a restore commits while copy waits for it is kept, and is no part that an interrupted copy takes for all', async () => {
  await copy.within('dump', (context) => dumpRows(context));
  await copy.target.query(`
    CREATE FUNCTION pg_temp.hinder() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF current_setting('application_name') = 'ibex copy' THEN RAISE 'not now'; END IF;
      PERFORM pg_advisory_xact_lock_shared(1);
      RETURN NULL;
    END $$;
    CREATE TRIGGER hinder BEFORE INSERT ON item FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.hinder();
    ALTER TABLE item ENABLE ALWAYS TRIGGER hinder;
    SELECT pg_advisory_lock(1)`);
  const restoring = copy.within('restore', restoreRows).catch(() => undefined);
  await until(() => waits('restore', 'advisory'));
  const copying = copy.run().catch(() => undefined);
  await until(() => waits('copy', 'transactionid'));
  await copy.target.query('SELECT pg_advisory_unlock(1)');
  await Promise.all([restoring, copying]);
  await copy.target.query('DROP TRIGGER hinder ON item');
  await copy.run();
  expect([await copy.count('item'), await copy.notes('item')]).toEqual([3000, []]);
});

it('a table that a restore completes while copy looks for rows of somebody else is not taken for such', async () => {
  const restoring = await copy.migration.admin('target');
  await restoring.query(`BEGIN; SET LOCAL session_replication_role = replica; LOCK TABLE item`);
  const outcome = copy.run().then(
    () => 'copied',
    (error: unknown) => String(error),
  );
  await until(() => waits('copy', 'relation'));
  await restoring.query(`
    INSERT INTO item SELECT generate_series(1, 3000);
    UPDATE ibex.relation SET copied_at = clock_timestamp(), copied_rows = 3000 WHERE relation_name = 'item';
    COMMIT`);
  await restoring.end();
  expect([await outcome, await copy.notes('item')]).toEqual(['copied', []]);
});
