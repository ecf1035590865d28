import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { prepareServices, startTool } from '../../../assets/agent/archive/client-tools';
import { Brake } from '../../../assets/agent/brake/brake';
import { UNBRAKED, type Pace } from '../../../assets/agent/brake/paced';
import { takeCaptureOff } from '../../../assets/agent/brake/take-off';
import type { BrakeConfig } from '../../../assets/agent/config';
import { readRelations } from '../../../assets/agent/catalog/relations';
import { CatchUp } from '../../../assets/agent/catch-up/rounds';
import { cleanup } from '../../../assets/agent/cleanup';
import type { Context } from '../../../assets/agent/context';
import { copyAll } from '../../../assets/agent/copy';
import { dumpRows } from '../../../assets/agent/dump';
import { Jobs } from '../../../assets/agent/job';
import { Lease } from '../../../assets/agent/lease';
import { restoreRows } from '../../../assets/agent/restore';
import { COPY_PROBES, CopyTest } from '../../helpers/copy-test';
import { until } from '../../helpers/until';

const ROWS = 300_000;

const FILL = `
  CREATE TABLE large (id int PRIMARY KEY, n int, filler text);
  INSERT INTO large SELECT i, 0, md5(i::text) || md5((i + 1)::text) || md5((i + 2)::text) FROM generate_series(1, ${ROWS}) i;
  ANALYZE`;

/** Rows and a digest of them. */
const CONTENTS = `SELECT count(*)::int AS n, md5(string_agg(id || ' ' || n || filler, ',' ORDER BY id)) AS digest FROM large`;

const ENOUGH = { checkCapture: async () => [], freeBytes: async () => 1e12 };

let copy: CopyTest;

beforeAll(async () => {
  copy = await CopyTest.start();
});
afterAll(() => copy.migration.stop());

const state = (): string => copy.migration.config.host.stateDirectory;

/** The processes of the dump that is under way, with their parents and their states as the kernel names them; `T` is stopped. */
function writers(): { pid: number; state: string; parent: number }[] {
  return readdirSync('/proc').flatMap((pid) => {
    try {
      if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`--file=${join(state(), 'dump.partial')}`)) return [];
      const [, letter = '', parent] = /\) (\w) (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? [];
      return [{ pid: Number(pid), state: letter, parent: Number(parent) }];
    } catch {
      return [];
    }
  });
}

const processes = (): string[] => writers().map((each) => each.state);

const written = (): number => {
  const partial = readdirSync(state()).find((name) => name.startsWith('dump.partial'));
  if (partial === undefined) return 0;
  return readdirSync(join(state(), partial)).reduce(
    (sum, name) => sum + statSync(join(state(), partial, name)).size,
    0,
  );
};

it('pg_dump stands still while the brake says so, and goes on; what writers do meanwhile is not lost', async () => {
  await copy.prepare(FILL);
  const brake = { ...UNBRAKED, pace: 'free' as Pace };
  const dumped = copy.within('dump', (context) => dumpRows(Object.assign(context, { brake })), {
    dump: { jobs: 2, compression: 'gzip:9' },
  });
  const writer = { running: true };
  const writing = (async () => {
    const client = await copy.migration.admin('source');
    for (let i = 1; writer.running; i += 1) {
      await client.query(`UPDATE large SET n = n + 1 WHERE id % 5000 = ${i % 5000}; DELETE FROM large WHERE id = ${i}`);
      await client.query(`INSERT INTO large VALUES (${ROWS + i}, 0, 'new')`);
    }
  })();
  await until(() => written() > 500_000);
  brake.pace = 'paused';
  await until(() => processes().length > 1 && processes().every((each) => each === 'T'));
  const before = written();
  const { n } = await copy.one<{ n: number }>('source', 'SELECT max(id) AS n FROM large');
  await sleep(400);
  expect(written()).toBe(before);
  expect((await copy.one<{ n: number }>('source', 'SELECT max(id) AS n FROM large')).n).toBeGreaterThan(n);
  brake.pace = 'free';
  await dumped;
  await copy.within('restore', restoreRows);
  writer.running = false;
  await writing;
  await copy.within('sync', async (context) => {
    const relations = await readRelations(await context.connect('source'), context.config);
    const catchUp = new CatchUp(context, relations, await Lease.take(await context.connect('target'), 'catch-up'));
    await catchUp.until(await context.connect('source'), 0);
    await catchUp.close();
  });
  expect(await copy.one('target', CONTENTS)).toEqual(await copy.one('source', CONTENTS));
});

describe('an application that wants a table for itself while it is dumped', () => {
  /** What becomes of a dump under the brake when an application asks for its table once it is under way. */
  async function asked(limits: Partial<BrakeConfig>): Promise<string> {
    await copy.prepare(FILL);
    const dumped = copy.within(
      'dump',
      async (context) => {
        const brake = Brake.open(context, 40);
        return dumpRows(Object.assign(context, { brake }), ENOUGH).finally(() => brake.close());
      },
      { brake: { ...copy.migration.config.brake, ...limits }, dump: { jobs: 1, compression: 'gzip:9' } },
    );
    const outcome = dumped.then(
      ({ message }) => message,
      (error: Error) => error.message,
    );
    await until(() => written() > 100_000);
    const application = await copy.migration.admin('source');
    await application.query(`SET application_name = 'shop'`);
    await application.query('TRUNCATE large');
    await application.end();
    return outcome;
  }

  it('has it when the dump has ended, which goes on for its sake even where it would stand still', async () => {
    expect(await asked({ pauseSessions: 1 })).toMatch(/^1 tables dumped/);
  });

  it('has it before that when it has waited too long: the dump fails, and names it', async () => {
    expect(await asked({ lockWaitMs: 10 })).toMatch(
      /^the dump was ended, because pid \d+ \(postgres, shop\): TRUNCATE large waited \d+ ms for a table, .*; keep such statements away, then start dump again$/,
    );
  });
});

describe('a dump that was killed while the brake let its jobs stand still', () => {
  /** They see the end of pg_dump no more, and only pg_dump itself dies with its phase. */
  async function killed(): Promise<void> {
    await copy.within('dump', async (context) => {
      await prepareServices(context, ['source']);
      const file = `--file=${join(state(), 'dump.partial.1')}`;
      const options = ['--data-only', '--format=directory', '--jobs=2', '--compress=9', file];
      const { child } = startTool(context.config, 'pg_dump', options, { end: 'source' });
      await until(() => written() > 100_000);
      for (const { pid } of writers()) process.kill(pid, 'SIGSTOP');
      child.kill('SIGKILL');
      await until(() => writers().every(({ pid }) => pid !== child.pid));
    });
  }

  const sessions = async (): Promise<number> =>
    (await copy.source.query(`SELECT FROM pg_stat_activity WHERE application_name = 'ibex pg_dump'`)).rowCount ?? 0;

  const ENDING: [string, (context: Context) => Promise<unknown>][] = [
    ['cleanup', (context) => cleanup.run(context)],
    ['the next dump', (context) => dumpRows(context, ENOUGH)],
    ['the other way of copying', (context) => copyAll(context, COPY_PROBES)],
    [
      'the brake that takes capture off',
      async (context) => takeCaptureOff(context, await context.connect('source'), 'a test'),
    ],
  ];

  it.each(ENDING)('has its rows, processes and snapshots ended by %s', async (_, end) => {
    await copy.prepare(FILL);
    await killed();
    try {
      expect(writers().length).toBeGreaterThan(0);
      expect(await sessions()).toBeGreaterThan(0);
      await copy.within('test', end);
      await until(async () => writers().length === 0 && (await sessions()) === 0, { seconds: 10 });
      expect(readdirSync(state()).filter((name) => name.startsWith('dump.partial'))).toEqual([]);
    } finally {
      for (const { pid } of writers()) process.kill(pid, 'SIGKILL');
    }
  });

  it('fails by itself when pg_dump alone was killed, leaves no process and no snapshot, and is taken anew', async () => {
    await copy.prepare(FILL);
    const brake = { ...UNBRAKED, pace: 'free' as Pace };
    const outcome = copy
      .within('dump', (context) => dumpRows(Object.assign(context, { brake }), ENOUGH), {
        dump: { jobs: 2, compression: 'gzip:9' },
      })
      .catch((error: Error) => error.message);
    try {
      await until(() => written() > 100_000);
      brake.pace = 'paused';
      await until(() => processes().length > 1 && processes().every((each) => each === 'T'));
      for (const { pid, parent } of writers()) if (parent === process.pid) process.kill(pid, 'SIGKILL');
      await until(async () => writers().length === 0 && (await sessions()) === 0, { seconds: 10 });
    } finally {
      for (const { pid } of writers()) process.kill(pid, 'SIGKILL');
    }
    expect(await outcome).toMatch(/^pg_dump was ended by SIGKILL: .*, then start dump again$/);
    expect((await copy.within('dump', (context) => dumpRows(context, ENOUGH))).message).toMatch(/^1 tables dumped/);
  });

  it('goes on beside a copy while its phase is alive', async () => {
    await copy.prepare(FILL);
    const jobs = new Jobs(copy.migration.config);
    jobs.begin('dump');
    mkdirSync(join(state(), 'dump.partial.1'));
    await copy.run();
    expect(readdirSync(state())).toContain('dump.partial.1');
    jobs.end('dump', 'failed', 'by the test');
    await copy.run();
    expect(readdirSync(state())).not.toContain('dump.partial.1');
  });
});

// Only root mounts a small volume.
(process.getuid?.() === 0 ? it : it.skip)(
  'a volume that fills up while the dump is written is named; what was written goes, and a larger volume takes the dump',
  async () => {
    await copy.prepare(FILL);
    const dump = () =>
      copy.within('dump', (context) => dumpRows(context, ENOUGH), { dump: { jobs: 1, compression: 'none' } });
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', state()]);
    try {
      await expect(dump()).rejects.toThrow(
        /No space left on device.*; the volume of .* is full; what was written of the dump is removed; enlarge that volume, then start dump again$/,
      );
      expect(readdirSync(state()).filter((name) => name.startsWith('dump'))).toEqual([]);
      execFileSync('mount', ['-o', 'remount,size=120m', state()]);
      expect((await dump()).message).toMatch(/^1 tables dumped/);
    } finally {
      execFileSync('umount', ['--lazy', state()]);
    }
  },
);
