import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { syncProcesses } from '../../assets/agent/bucardo/daemon';
import { BUCARDO_DATABASE } from '../../assets/agent/bucardo/names';
import { readLag } from '../../assets/agent/bucardo/queues';
import { readRelations } from '../../assets/agent/catalog/relations';
import type { AgentConfig } from '../../assets/agent/config';
import { connectToHost } from '../../assets/agent/connect';
import { State } from '../../assets/agent/state';
import type { SeenLag } from '../../assets/agent/sync/beat';
import type { Trouble } from '../../assets/agent/sync/facts';
import type { Plan } from '../../assets/agent/sync/plan';
import type { Rehearsal } from '../../lib/rehearsal/rehearsal';
import { openRehearsal } from '../helpers/rehearsal';

/** Changes from which catch-up takes over; made far above in one go. */
const TAKE_BACK = 60_000;

/** Longest run of a sync; seconds. Short, for a test that waits for one to be over; ordinary ones take a tenth of one. */
const LONGEST_RUN = 20;

/** After an outage of the target of 15 s Bucardo left alone never comes back; milliseconds. */
const OUTAGE_MS = 17_000;

describe('a sync of several parts', () => {
  let rehearsal: Rehearsal;
  let source: Client;
  let target: Client;
  let state: State;

  beforeAll(async () => {
    const sync = {
      takeBackKeys: TAKE_BACK,
      groups: [['public.pgbench_*']],
      syncs: 1,
      longestRunSeconds: LONGEST_RUN,
    };
    rehearsal = await openRehearsal({ rate: 30, settings: { sync } as unknown as Partial<AgentConfig> });
    await rehearsal.startWriters();
    for (const phase of ['assess', 'schema', 'capture', 'dump', 'restore', 'sync']) {
      const { status, failureMessage } = await rehearsal.run(phase);
      expect([phase, status, failureMessage]).toEqual([phase, 'Success', undefined]);
    }
    source = await rehearsal.lab.connect('source');
    target = await rehearsal.lab.connect('target');
    state = await State.open(rehearsal.lab.config.host);
  }, 240_000);

  afterAll(async () => {
    await Promise.allSettled([source?.end(), target?.end(), state?.close()]);
    await rehearsal?.close();
  }, 60_000);

  async function until(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
    const deadline = Date.now() + 120_000;
    while (!(await holds())) {
      if (Date.now() > deadline) throw new Error(`never: ${what}`);
      await sleep(100);
    }
  }

  const beat = async (client: Client, sync: string): Promise<number> => {
    const { rows } = await client.query(`SELECT extract(epoch FROM beat)::float8 AS beat FROM ibex.heartbeat_${sync}`);
    return (rows[0] as { beat: number } | undefined)?.beat ?? 0;
  };

  /** A beat that is written after this moment arrives. */
  async function beatsOn(sync: string): Promise<void> {
    const { rows } = await source.query('SELECT extract(epoch FROM clock_timestamp())::float8 AS now');
    const { now } = rows[0] as { now: number };
    await until(`a beat of ${sync} arrives`, async () => (await beat(target, sync)) > now);
  }

  /** Stops a sync's kids between two runs: one in the midst of a run might still end it, and is given its time. */
  async function stopIdle(sync: string, kids: readonly number[]): Promise<void> {
    const bucardo = await connectToHost(rehearsal.lab.config.host, BUCARDO_DATABASE);
    const running = 'SELECT FROM bucardo.syncrun WHERE sync = $1 AND ended IS NULL';
    await until(`${sync} is stopped between two runs`, async () => {
      for (const pid of kids) process.kill(pid, 'SIGSTOP');
      if ((await bucardo.query(running, [sync])).rowCount === 0) return true;
      for (const pid of kids) process.kill(pid, 'SIGCONT');
      return false;
    });
    await bucardo.end();
  }

  test('has each relation in exactly one, those of the group by themselves, and a heartbeat in each', async () => {
    const plan = (await state.fact<Plan>('sync.plan')) ?? {};
    expect(Object.keys(plan)).toEqual(['ibex', 'ibex2']);
    expect(plan['ibex']?.every((name) => name.startsWith('"public"."pgbench_'))).toBe(true);
    const relations = await readRelations(source, rehearsal.lab.config);
    expect(Object.values(plan).flat().sort()).toEqual(relations.map((relation) => relation.sql).sort());
    for (const sync of Object.keys(plan)) await beatsOn(sync);
    await until('the lag is told', async () => {
      const lag = (await state.fact<SeenLag>('sync.lag'))?.lag;
      return lag !== undefined && lag['ibex'] !== undefined && lag['ibex'] < 10;
    });
  }, 120_000);

  test('brings one back whose processes died, or hang, while the other goes on', async () => {
    const { host } = rehearsal.lab.config;
    const other = syncProcesses(host, 'ibex').controller;
    for (const signal of ['SIGKILL', 'SIGSTOP'] as const) {
      const { controller, kid } = syncProcesses(host, 'ibex2');
      for (const pid of controller) process.kill(pid, signal);
      if (signal === 'SIGSTOP') await stopIdle('ibex2', kid);
      else for (const pid of kid) process.kill(pid, signal);
      await until(`ibex2 is back after ${signal}`, () => {
        const now = syncProcesses(host, 'ibex2').controller;
        return now.length > 0 && !now.some((pid) => controller.includes(pid));
      });
      await beatsOn('ibex2');
    }
    expect(syncProcesses(host, 'ibex').controller).toEqual(other);
    const counters = await state.counters();
    expect(counters['bucardo.starts']).toBe(1);
    expect(counters['bucardo.sync-restarts']).toBeGreaterThanOrEqual(1);
  }, 240_000);

  test('has a table that was truncated copied anew once, and goes on, however few its rows are', async () => {
    const takeovers = async (): Promise<number> => (await state.counters())['sync.takeovers'] ?? 0;
    const before = await takeovers();
    await source.query(
      `INSERT INTO bucardo.ibex_truncated (schema_name, relation_name) VALUES ('public', 'pgbench_branches')`,
    );
    await until(
      'the mark is gone',
      async () => (await source.query('SELECT FROM bucardo.ibex_truncated')).rowCount === 0,
    );
    for (const sync of ['ibex', 'ibex2']) await beatsOn(sync);
    expect(await takeovers()).toBe(before + 1);
  }, 240_000);

  test('starts one anew whose run hangs, and ends what the hanging one waits for on the target', async () => {
    const { host } = rehearsal.lab.config;
    const { controller, kid } = syncProcesses(host, 'ibex2');
    const other = syncProcesses(host, 'ibex').controller;
    const restarts = async (): Promise<number> => (await state.counters())['bucardo.sync-restarts'] ?? 0;
    const before = await restarts();
    const waiting = `SELECT application_name AS name FROM pg_stat_activity
      WHERE wait_event_type = 'Lock' AND application_name LIKE 'bucardo %'`;
    const boss = await rehearsal.lab.target.admin(rehearsal.lab.config.target.database);
    const waiters = async (): Promise<string[]> =>
      ((await boss.query(waiting)).rows as { name: string }[]).map(({ name }) => name);
    const holder = await rehearsal.lab.connect('target');
    try {
      // Each second a beat is to be applied there.
      await holder.query('BEGIN; LOCK TABLE ibex.heartbeat_ibex2 IN EXCLUSIVE MODE');
      await until('a run waits for the lock', async () => (await waiters()).length > 0);
      const stuck = await waiters();
      const since = performance.now();
      for (const pid of kid) process.kill(pid, 'SIGSTOP');
      await until('the sync is started anew', async () => (await restarts()) > before);
      expect(performance.now() - since).toBeGreaterThan((LONGEST_RUN - 3) * 1000);
      await until('its session is gone', async () => !(await waiters()).some((name) => stuck.includes(name)));
    } finally {
      await Promise.allSettled([holder.end(), boss.end()]);
    }
    await beatsOn('ibex2');
    const now = syncProcesses(host, 'ibex2');
    expect([...now.controller, ...now.kid].filter((pid) => [...controller, ...kid].includes(pid))).toEqual([]);
    expect(syncProcesses(host, 'ibex').controller).toEqual(other);
  }, 240_000);

  test('has what Bucardo fails at applied by catch-up but for the table at fault, which is named until it is mended', async () => {
    const { config, target: server } = rehearsal.lab;
    const boss = await server.admin(config.target.database);
    const trouble = async (): Promise<string> => (await state.fact<Trouble | null>('sync.trouble'))?.message ?? '';
    try {
      await boss.query('ALTER TABLE public.pgbench_tellers ADD CONSTRAINT refused CHECK (tid <> 1) NOT VALID');
      await source.query('UPDATE public.pgbench_tellers SET tbalance = tbalance WHERE tid = 1');
      const { rows } = await source.query('SELECT clock_timestamp()::text AS now');
      await until('the table is named', async () => (await trouble()).includes('pgbench_tellers'));
      expect(await trouble()).toMatch(
        /^"public"\."pgbench_tellers" cannot be applied: .*check constraint "refused".*; nothing was forgotten; start again$/,
      );
      const waiting = 'SELECT FROM bucardo.delta_public_pgbench_accounts WHERE captured_at < $1::timestamptz';
      const { now } = rows[0] as { now: string };
      await until('other tables of its sync go on', async () => (await source.query(waiting, [now])).rowCount === 0);
      expect(await trouble()).toContain('pgbench_tellers');
    } finally {
      await boss.query('ALTER TABLE public.pgbench_tellers DROP CONSTRAINT IF EXISTS refused');
      await boss.end();
    }
    await until('the trouble is over', async () => (await trouble()) === '');
    await beatsOn('ibex');
  }, 240_000);

  test('catches up by itself after an outage of the target that Bucardo alone never comes back from', async () => {
    await target.end();
    await rehearsal.lab.target.stop();
    await sleep(OUTAGE_MS);
    await rehearsal.lab.target.start();
    target = await rehearsal.lab.connect('target');
    for (const sync of ['ibex', 'ibex2']) await beatsOn(sync);
    const relations = await readRelations(source, rehearsal.lab.config);
    await until('what was written meanwhile is applied', async () => (await readLag(source, relations)).seconds < 5);
  }, 240_000);

  test('goes by other settings once it is started again, and by those of before when they are back', async () => {
    const { config, environment } = rehearsal.lab;
    const file = environment['IBEX_CONFIG']!;
    const before = readFileSync(file, 'utf8');
    const handler = join(dirname(file), 'handler.pl');
    const bucardo = await connectToHost(config.host, BUCARDO_DATABASE);
    const told = async (): Promise<unknown> => {
      const { status, failureMessage } = await rehearsal.run('sync');
      expect([status, failureMessage]).toEqual(['Success', undefined]);
      const { rows: codes } = await bucardo.query('SELECT about, src_code AS code FROM bucardo.customcode');
      const { rows: syncs } = await bucardo.query('SELECT name FROM bucardo.sync ORDER BY 1');
      return { codes, syncs: (syncs as { name: string }[]).map(({ name }) => name) };
    };
    try {
      for (const code of ['return;', 'my $info = shift; return;']) {
        writeFileSync(handler, code);
        const sync = { ...config.sync, groups: [], handlers: [{ when: 'exception', file: handler }] };
        writeFileSync(file, JSON.stringify({ ...config, sync }));
        expect(await told()).toEqual({ codes: [{ about: handler, code }], syncs: ['ibex'] });
      }
      writeFileSync(file, before);
      expect(await told()).toEqual({ codes: [], syncs: ['ibex', 'ibex2'] });
      const starts = (await state.counters())['bucardo.starts'];
      await told();
      expect((await state.counters())['bucardo.starts']).toBe(starts);
    } finally {
      await bucardo.end();
    }
    for (const sync of ['ibex', 'ibex2']) await beatsOn(sync);
  }, 240_000);

  test('gives a backlog that is too long to catch-up, and takes the sync back', async () => {
    const takeovers = (await state.counters())['sync.takeovers'] ?? 0;
    const applied = (await state.counters())['rows.catch-up'] ?? 0;
    // Else Bucardo might have applied it between two looks of the supervisor.
    for (const pid of syncProcesses(rehearsal.lab.config.host, 'ibex').kid) process.kill(pid, 'SIGSTOP');
    await source.query('UPDATE public.pgbench_accounts SET abalance = abalance');
    await until('catch-up took over', async () => ((await state.counters())['sync.takeovers'] ?? 0) > takeovers);
    const relations = await readRelations(source, rehearsal.lab.config);
    await until('the backlog is gone', async () => (await readLag(source, relations, TAKE_BACK)).changes < 5_000);
    await until('catch-up has counted it', async () => {
      return ((await state.counters())['rows.catch-up'] ?? 0) - applied > 90_000;
    });
    for (const sync of ['ibex', 'ibex2']) await beatsOn(sync);
    await sleep(1_000);
    const { status, failureMessage } = await rehearsal.run('verify');
    expect([status, failureMessage]).toEqual(['Success', undefined]);
    const { verdict } = await rehearsal.stopWriters();
    expect(verdict.lostWrites).toBe(0);
  }, 240_000);
});
