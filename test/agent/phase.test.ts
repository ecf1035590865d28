import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AgentConfig } from '../../assets/agent/config';
import { Failure } from '../../assets/agent/errors';
import { concernsAll } from '../../assets/agent/failures';
import { Jobs } from '../../assets/agent/job';
import { isLost } from '../../assets/agent/lost';
import { runPhase, type Phase } from '../../assets/agent/phase';
import { State } from '../../assets/agent/state';
import { setBackClock } from '../helpers/clock';
import { startPostgres, type TestPostgres } from '../helpers/postgres';
import { until } from '../helpers/until';

let host: TestPostgres;
let root: string;
let config: AgentConfig;
let runs: string[];
beforeAll(async () => {
  host = await startPostgres();
});
afterAll(() => host.stop());
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'ibex-phase-'));
  config = {
    migration: 'test',
    host: { stateDirectory: join(root, 'state'), runDirectory: join(root, 'run'), postgres: { ...host } },
  } as unknown as AgentConfig;
  runs = [];
  const state = await State.open(config.host);
  await state.client.query('TRUNCATE ibex.phase, ibex.fact, ibex.counter, ibex.evidence');
  await state.close();
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const phase = (name: string, rest: Partial<Phase> = {}): Phase => ({
  name,
  after: [],
  once: true,
  run: async () => {
    runs.push(name);
    return { message: `${name} is done`, result: { tables: 3 } };
  },
  ...rest,
});

const failing = (message: string): Partial<Phase> => ({
  run: async () => {
    throw new Failure(message);
  },
});

async function known(name: string): Promise<Record<string, unknown> | undefined> {
  const state = await State.open(config.host);
  try {
    return (await state.phase(name)) as unknown as Record<string, unknown>;
  } finally {
    await state.close();
  }
}

describe('a phase', () => {
  it('runs once, and then says what it did', async () => {
    expect(await runPhase(config, phase('dump'))).toBe('dump is done');
    expect(await runPhase(config, phase('dump'))).toBe('done already: dump is done');
    expect(runs).toEqual(['dump']);
    expect(new Jobs(config).line('dump')).toBe('succeeded dump: done already: dump is done');
    expect(await known('dump')).toMatchObject({ status: 'succeeded', message: 'dump is done', result: { tables: 3 } });
  });

  it('runs each time when it looks anew each time', async () => {
    const verify = phase('verify', { once: false });
    await runPhase(config, verify);
    await runPhase(config, verify);
    expect(runs).toEqual(['verify', 'verify']);
  });

  it('that begins a migration forgets the cleanup of an earlier one: this one is to be approved again', async () => {
    const line = (): string => new Jobs(config).line('cleanup');
    await runPhase(config, phase('cleanup', { once: false }));
    await runPhase(config, phase('assess', { once: false }));
    expect(line()).toBe('succeeded cleanup: cleanup is done');
    await runPhase(config, phase('schema'));
    expect(line()).toMatch(/^failed cleanup: it was never started here/);

    await runPhase(config, phase('cleanup', { once: false }));
    await runPhase(config, phase('schema'));
    expect(line()).toBe('succeeded cleanup: cleanup is done');
  });

  it('names those that must have succeeded before it, also when one of them failed', async () => {
    const restore = phase('restore', { after: ['capture', 'dump'] });
    await expect(runPhase(config, restore)).rejects.toThrow(
      new Failure('restore needs capture, dump to have succeeded first; start that runbook'),
    );
    await runPhase(config, phase('capture'));
    await expect(runPhase(config, phase('dump', failing('no')))).rejects.toThrow('no');
    await expect(runPhase(config, restore)).rejects.toThrow('restore needs dump to have succeeded first');
    expect(runs).toEqual(['capture']);
    await runPhase(config, phase('dump'));
    expect(await runPhase(config, restore)).toBe('restore is done');
  });

  it('that fails is recorded everywhere with its cause, in one line, and may be run again', async () => {
    await expect(runPhase(config, phase('dump', failing('the disk\n  is full')))).rejects.toThrow(Failure);
    expect(await known('dump')).toMatchObject({ status: 'failed', message: 'the disk is full' });
    expect(new Jobs(config).line('dump')).toBe('failed dump: the disk is full');
    const log = readFileSync(join(config.host.stateDirectory, 'log', 'dump.jsonl'), 'utf8')
      .trim()
      .split('\n');
    expect(JSON.parse(log.at(-1) as string)).toMatchObject({
      msg: 'phase failed',
      err: { message: 'the disk\n  is full' },
    });
    expect(await runPhase(config, phase('dump'))).toBe('dump is done');
    expect(await known('dump')).toMatchObject({ status: 'succeeded' });
  });

  it('is recorded as running while it runs, and keeps all others of its name out', async () => {
    let inside: unknown;
    const outer = phase('dump', {
      run: async () => {
        inside = await known('dump');
        await expect(runPhase(config, phase('dump'))).rejects.toThrow(
          `dump runs already as process ${process.pid}; wait for it`,
        );
        return { message: 'alone' };
      },
    });
    expect(await runPhase(config, outer)).toBe('alone');
    expect(inside).toMatchObject({ status: 'running' });
    expect(runs).toEqual([]);
  });

  it('is kept out by a run that has another state directory, as that of another host, until that ends, whatever becomes of the clock', async () => {
    const state = await State.open(config.host);
    expect(await state.claim('dump')).toBe(true);
    const clock = setBackClock();
    await expect(runPhase(config, phase('dump'))).rejects.toThrow(
      'dump runs already in another process, or cleanup does; wait for it',
    );
    clock.mockRestore();
    expect(runs).toEqual([]);
    await state.close();
    expect(await runPhase(config, phase('dump'))).toBe('dump is done');
  });

  it('says so when the PostgreSQL of the host was started anew in its midst, which is no fault of an end', async () => {
    const failure = await runPhase(config, {
      ...phase('dump'),
      run: async ({ state }) => {
        await host.kill();
        await host.start();
        await state.count('rows', 1);
        return { message: 'kept' };
      },
    }).catch((error: Error) => error);
    const told = `the host's PostgreSQL at ${host.host}:${host.port}/ibex ended our session: `;
    const wayOn = '; what was done is kept; see that it runs, then start again, it resumes';
    expect(new Jobs(config).line('dump')).toMatch(new RegExp(`^failed dump: ${told}[^;]*${wayOn}$`));
    const wrapped = new Failure('no row was brought', { cause: failure });
    expect([failure, wrapped].map(isLost)).toEqual([false, false]);
    expect([failure, wrapped].map(concernsAll)).toEqual([true, true]);
    expect(await runPhase(config, phase('dump'))).toBe('dump is done');
  });

  it('adds up the time of its runs, without the time between', async () => {
    await runPhase(config, phase('dump', failing('no'))).catch(() => undefined);
    const first = (await known('dump'))?.['seconds'] as number;
    await runPhase(config, phase('dump'));
    const both = (await known('dump'))?.['seconds'] as number;
    expect(both).toBeGreaterThan(first);
    expect(both).toBeLessThan(20);
  });

  it('says where the state is when the host has none', async () => {
    const nowhere = { ...config, host: { ...config.host, postgres: { ...host, port: 1 } } };
    await expect(runPhase(nowhere, phase('dump'))).rejects.toThrow(
      /^cannot connect to the host's PostgreSQL at 127\.0\.0\.1:1\/postgres: .*; nothing listens there/,
    );
    expect(new Jobs(nowhere).line('dump')).toMatch(/^failed dump: cannot connect to the host's PostgreSQL/);
  });
});

describe('the state', () => {
  it('is opened by many at once, also the first time', async () => {
    const admin = await host.connect();
    await admin.query('DROP DATABASE ibex');
    const states = await Promise.all(Array.from({ length: 5 }, () => State.open(config.host)));
    await Promise.all(states.map((state) => state.count('rows', 2)));
    expect(await (states[0] as State).counters()).toEqual({ rows: 10 });
    await Promise.all(states.map((state) => state.close()));
  });

  it('opens its session anew where that has ended, unless another process has taken over what was claimed', async () => {
    const state = await State.open(config.host);
    for (const name of ['dump', 'dump', 'sync']) await state.claim(name);
    await state.release('sync');
    const admin = await host.connect('ibex');
    const end = async (): Promise<void> => {
      await admin.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name = 'ibex' AND datname = current_database() AND pid <> pg_backend_pid()`,
      );
      await until(() =>
        state.client.query('SELECT').then(
          () => false,
          () => true,
        ),
      );
    };
    const claims = async (): Promise<unknown[]> =>
      (await admin.query(`SELECT objid = hashtext('dump')::oid AS ours FROM pg_locks WHERE classid = 4918`)).rows;

    await end();
    await state.renew(config.host);
    await state.facing('back').setFact('a', 1);
    expect(await claims()).toEqual([{ ours: true }]);

    await end();
    await admin.query(`SELECT pg_advisory_lock(4918, hashtext('dump'))`);
    await expect(state.renew(config.host)).rejects.toThrow(
      "another process has taken over dump, since the session on the host's PostgreSQL ended",
    );
    await admin.end();
    await state.close();
  });

  it('keeps evidence in its order, and facts as they were last', async () => {
    const state = await State.open(config.host);
    await state.evidence('verify', 'rows equal', true, 'SELECT 1', { rows: 1 });
    await state.evidence('cutover', 'drained', false, 'SELECT 2', []);
    expect(await state.allEvidence()).toMatchObject([
      { phase: 'verify', gate: 'rows equal', passed: true, query: 'SELECT 1', result: { rows: 1 } },
      { phase: 'cutover', gate: 'drained', passed: false, query: 'SELECT 2', result: [] },
    ]);
    await state.setFact('a', { b: 1 });
    await state.setFact('a', null);
    expect([await state.fact('a'), await state.fact('b')]).toEqual([null, undefined]);
    await state.close();
  });
});
