import { setTimeout as sleep } from 'node:timers/promises';
import { armFence } from '../../../assets/agent/fence/triggers';
import { readFenceState } from '../../../assets/agent/fence/objects';
import { aroundSource, codeOf, refusal, REFUSED, WRITES } from './around-source';

const here = aroundSource();

describe('fencing', () => {
  it('waits for a writer that is at work, whose write then is whole', async () => {
    const writer = await here.migration.admin('source');
    await writer.query('BEGIN; UPDATE item SET n = 41 WHERE id = 2');
    const proof = here.fence();
    await sleep(200);
    await writer.query('UPDATE item SET n = n + 1 WHERE id = 2; COMMIT');
    expect((await proof).attempts).toBe(1);
    expect((await here.source.query('SELECT n FROM item WHERE id = 2')).rows).toEqual([{ n: 42 }]);
    await writer.end();
  });

  it('steps back before an application that locks in another order fails for it', async () => {
    const one = await here.migration.admin('source');
    await one.query(`BEGIN; LOCK TABLE measure_top IN ROW EXCLUSIVE MODE`);
    const proof = here.fence(60, 20_000);
    await sleep(100);
    // Asks for a table that the fence has locked already, while the fence waits for the first one.
    await one.query('LOCK TABLE "Left Out"."Order" IN ROW EXCLUSIVE MODE');
    await one.query('ROLLBACK');
    expect((await proof).tables).toBe(9);
    await one.end();
  });

  it('with its triggers there beforehand, refuses a transaction at work its next write, so that nobody runs into a deadlock', async () => {
    expect(await armFence(await here.session())).toEqual([]);
    for (const [, statement] of WRITES) expect(await refusal(here.source, statement)).toBeUndefined();
    const writer = await here.migration.admin('source');
    await writer.query('BEGIN; INSERT INTO measure_top VALUES (150)');
    const proof = here.fence(60, 20_000);
    while ((await readFenceState(here.source))?.kind !== 'until') await sleep(5);
    // The fence holds the locks of the tables before the one that it waits for, and lets go of them in time.
    const next = await writer.query('INSERT INTO child VALUES (9, 1)').then(() => 'passed', codeOf);
    await writer.end();
    expect(next).toBe(REFUSED);
    expect((await proof).attempts).toBeLessThanOrEqual(3);
  });

  it('gets its triggers there beforehand but for tables that are busy, which it names', async () => {
    const busy = await here.migration.admin('source');
    await busy.query('BEGIN; INSERT INTO child VALUES (9, 1)');
    const left = await armFence(await here.session()).finally(() => busy.end());
    expect(left).toEqual(['"public"."child"']);
    expect(await armFence(await here.session())).toEqual([]);
    await here.fence();
    expect(await refusal(here.source, 'INSERT INTO child VALUES (9, 1)')).toBe(REFUSED);
  });

  it('does not wait for an autovacuum to end', async () => {
    await here.source.query(`
      ALTER SYSTEM SET autovacuum_naptime = '1s'`);
    await here.source.query('SELECT pg_reload_conf()');
    await here.source.query(`
      CREATE TABLE swept WITH (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0,
        autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1) AS
      SELECT i, repeat('x', 500) AS filler FROM generate_series(1, 20000) i`);
    await here.source.query('DELETE FROM swept WHERE i % 2 = 0');
    const sweeping = `SELECT 1 FROM pg_stat_activity WHERE query LIKE 'autovacuum: VACUUM%public.swept%'`;
    while ((await here.source.query(sweeping)).rowCount === 0) await sleep(50);
    try {
      // The fifth try is the first that waits for longer than deadlock_timeout, when the server sends it away.
      expect((await here.fence(60, 12_000)).attempts).toBeLessThanOrEqual(5);
    } finally {
      await here.source.query('ALTER SYSTEM RESET autovacuum_naptime');
      await here.source.query('SELECT pg_reload_conf()');
      await here.source.query('DROP TABLE swept');
    }
  });
});
