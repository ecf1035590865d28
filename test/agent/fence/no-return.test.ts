import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { armFence } from '../../../assets/agent/fence/triggers';
import { closeTarget, openTarget } from '../../../assets/agent/fence/target';
import { fenceSource, isPastNoReturn, makeFenceFinal, openSource } from '../../../assets/agent/fence/source';
import { letWait } from '../../../assets/agent/fence/turn';
import { readFenceState } from '../../../assets/agent/fence/objects';
import { aroundSource, codeOf, refusal, REFUSED } from './around-source';

const here = aroundSource();

describe('the deadline', () => {
  it('opens the source by itself, not before it has passed', async () => {
    const { deadline } = await here.fence(1.5);
    const passed = `SELECT clock_timestamp() >= $1::timestamptz AS passed`;
    for (let refused = 0; ; refused += 1) {
      const open = (await refusal(here.source, 'INSERT INTO item VALUES (9)')) === undefined;
      const { rows } = await here.source.query(passed, [deadline]);
      if (open) {
        expect(rows).toEqual([{ passed: true }]);
        expect(refused).toBeGreaterThan(2);
        break;
      }
      expect(refused).toBeLessThan(1_000);
      await sleep(50);
    }
    expect(await refusal(here.source, 'INSERT INTO measure_top VALUES (102)')).toBeUndefined();
  });

  it('is told by the state of the fence', async () => {
    expect(await readFenceState(here.source)).toBeUndefined();
    const { deadline } = await here.fence();
    expect(await readFenceState(here.source)).toEqual({ kind: 'until', deadline });
    await openSource(await here.session());
    expect(await readFenceState(here.source)).toEqual({ kind: 'open' });
  });
});

describe('the point of no return', () => {
  it('makes the fence final: it has no deadline, is not opened, and not put up anew with one', async () => {
    const { deadline } = await here.fence(3);
    await makeFenceFinal(await here.session(), deadline);
    expect(await isPastNoReturn(here.source)).toBe(true);
    expect(await openSource(await here.session())).toBe('final');
    await expect(here.fence(60, 300)).rejects.toThrow('another run has made its fence final');
    expect(await readFenceState(here.source)).toEqual({ kind: 'final' });
    await sleep(3_000);
    expect(await refusal(here.source, 'INSERT INTO item VALUES (9)')).toBe(REFUSED);
  });

  it('is refused when the deadline is nearer than the margin, and the source opens by itself', async () => {
    const { deadline } = await here.fence(1.5);
    await expect(makeFenceFinal(await here.session(), deadline)).rejects.toThrow(
      `the time budget is spent (writes are let through again at ${deadline})`,
    );
    expect(await isPastNoReturn(here.source)).toBe(false);
    while ((await refusal(here.source, 'INSERT INTO item VALUES (9)')) !== undefined) await sleep(50);
  });

  it('is refused when the fence is not the one that this run put up', async () => {
    const { deadline } = await here.fence();
    await openSource(await here.session());
    await expect(makeFenceFinal(await here.session(), deadline)).rejects.toThrow('another run has changed it');
    await here.fence();
    await expect(makeFenceFinal(await here.session(), deadline)).rejects.toThrow('another run has changed it');
    expect(await isPastNoReturn(here.source)).toBe(false);
  });

  it('lets no write slip in while this program stands still beyond the deadline', async () => {
    const { deadline } = await here.fence(2.5);
    let write: Promise<string> | undefined;
    const stopped = await here.sleepy('CREATE OR REPLACE FUNCTION', async () => {
      await here.source.query(`SELECT pg_sleep_until($1::timestamptz + interval '0.1 s')`, [deadline]);
      write = here.source.query('INSERT INTO item VALUES (999)').then(() => 'passed', codeOf);
      await sleep(200);
    });
    await makeFenceFinal(stopped, deadline);
    expect(await write).toBe(REFUSED);
  });

  it.each([
    ['puts up the fence', async (client: Client) => fenceSource(client, 2, performance.now() + 1_000)],
    ['makes it final', async (client: Client) => makeFenceFinal(client, (await here.fence(3)).deadline)],
  ])('opens although a host that %s is frozen while it holds the locks', async (_, locks) => {
    await armFence(await here.session());
    let thaw: () => void = () => undefined;
    const thawed = new Promise<void>((resolve) => (thaw = resolve));
    const frozen = await here.sleepy('SELECT clock_timestamp()', () => thawed);
    const ended = locks(frozen).then(
      () => 'done',
      () => 'failed',
    );
    const locked = `SELECT FROM pg_locks WHERE mode = 'ShareRowExclusiveLock' AND granted AND relation = 'item'::regclass`;
    while ((await here.source.query(locked)).rowCount === 0) await sleep(10);
    const write = `SET LOCAL lock_timeout = '7s'; INSERT INTO item VALUES (9)`;
    for (const until = Date.now() + 9_000; (await refusal(here.source, write)) !== undefined;) {
      if (Date.now() > until) throw new Error('the source stays shut');
      await sleep(50);
    }
    thaw();
    expect(await ended).toBe('failed');
  });

  it('is waited for by who opens the source at the same moment', async () => {
    const { deadline } = await here.fence();
    let opened: Promise<string> | undefined;
    const opener = await here.session();
    const slow = await here.sleepy('COMMIT', async () => {
      opened = openSource(opener);
      await sleep(300);
    });
    await makeFenceFinal(slow, deadline);
    expect(await opened).toBe('final');
    expect(await readFenceState(here.source)).toEqual({ kind: 'final' });
  });
});

describe('the end that was left', () => {
  it('waits for its turn once the other end takes writes, and not before', async () => {
    const context = await here.migration.context('cutover');
    const target = await context.connect('target');
    await closeTarget(context, target);
    const { deadline } = await here.fence();
    const own = await here.session();
    expect(await letWait(own, target)).toBe(false);
    await makeFenceFinal(own, deadline);
    expect(await letWait(own, target)).toBe(false);
    expect(await readFenceState(here.source)).toEqual({ kind: 'final' });
    await openTarget(target);
    expect(await letWait(own, target)).toBe(true);
    expect(await readFenceState(here.source)).toEqual({ kind: 'closed' });
    expect(await openSource(own)).toBe('final');
    expect(await refusal(here.source, 'INSERT INTO item VALUES (9)')).toBe(REFUSED);
    expect(await letWait(own, target)).toBe(true);
    await target.query('DROP SCHEMA ibex CASCADE');
  });

  it('is not made final when a table takes writes behind the fence', async () => {
    const { deadline } = await here.fence();
    await here.source.query('ALTER TABLE item DISABLE TRIGGER ALL');
    await expect(makeFenceFinal(await here.session(), deadline)).rejects.toThrow('the fence was altered');
    await here.source.query('ALTER TABLE item ENABLE TRIGGER ALL');
    await makeFenceFinal(await here.session(), deadline);
  });
});
