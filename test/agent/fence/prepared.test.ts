import { setTimeout as sleep } from 'node:timers/promises';
import { armFence } from '../../../assets/agent/fence/triggers';
import { openSource } from '../../../assets/agent/fence/source';
import { readFenceState } from '../../../assets/agent/fence/objects';
import { setBackClock } from '../../helpers/clock';
import { aroundSource, codeOf, refusal, REFUSED, WRITES } from './around-source';

const here = aroundSource();

describe('a prepared transaction', () => {
  it('fails within its budget while a prepared transaction is open, whatever becomes of the clock, and leaves nothing fenced', async () => {
    await here.source.query(`BEGIN; INSERT INTO child VALUES (8, 2); PREPARE TRANSACTION 'left behind'`);
    const clock = setBackClock();
    try {
      const begun = performance.now();
      await expect(here.fence(60, 900)).rejects.toThrow(
        /^writes could not be stopped in \d+ tries: .*lock timeout; they go on as before$/,
      );
      expect(performance.now() - begun).toBeLessThan(2_000);
      for (const [, statement] of WRITES.filter(([what]) => !what.includes('TRUNCATE'))) {
        expect(await refusal(here.source, statement)).toBeUndefined();
      }
      expect(await readFenceState(here.source)).toEqual({ kind: 'open' });
    } finally {
      clock.mockRestore();
      await here.source.query(`ROLLBACK PREPARED 'left behind'`);
    }
  });

  it('waits for what is prepared while it goes up, and then lets nothing be written that could be prepared', async () => {
    const writer = await here.migration.admin('source');
    await armFence(await here.session());
    await writer.query('BEGIN; INSERT INTO child VALUES (8, 2)');
    const proof = here.fence(60, 20_000);
    while ((await readFenceState(here.source))?.kind !== 'until') await sleep(5);
    let stands = false;
    void proof.then(() => (stands = true));
    await writer.query(`PREPARE TRANSACTION 'late'`);
    const waiting = `SELECT FROM pg_locks WHERE NOT granted AND mode = 'ShareRowExclusiveLock'`;
    while ((await here.source.query(waiting)).rowCount === 0) await sleep(5);
    expect(stands).toBe(false);
    await writer.query(`COMMIT PREPARED 'late'`);
    await proof;
    expect(await here.source.query('DELETE FROM child WHERE id = 8').then(() => 'passed', codeOf)).toBe(REFUSED);
    await writer.query('BEGIN');
    expect(await writer.query('INSERT INTO child VALUES (9, 2)').then(() => 'passed', codeOf)).toBe(REFUSED);
    await writer.query(`PREPARE TRANSACTION 'later'`);
    expect((await here.source.query('SELECT FROM pg_prepared_xacts')).rowCount).toBe(0);
    expect((await here.source.query('SELECT id FROM child ORDER BY id')).rows).toEqual([{ id: 1 }, { id: 8 }]);
    await openSource(await here.session());
    await here.source.query('DELETE FROM child WHERE id = 8');
    await writer.end();
  });
});
