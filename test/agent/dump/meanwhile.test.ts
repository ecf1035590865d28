import { readdirSync, statSync, writeFileSync, mkdtempSync, rmSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkCapture } from '../../../assets/agent/capture/check';
import { dumpRows } from '../../../assets/agent/dump';
import { afterwards } from '../../../assets/agent/dump/afterwards';
import type { PhaseOutcome } from '../../../assets/agent/phase';
import { openStateSession } from '../../../assets/agent/state';
import { CopyTest } from '../../helpers/copy-test';
import { until } from '../../helpers/until';

const SMALL = `
  CREATE TABLE large (id int PRIMARY KEY, note text);
  CREATE TABLE other (id int PRIMARY KEY, note text);
  INSERT INTO large SELECT i, 'note' FROM generate_series(1, 3000) i;
  ANALYZE`;

let copy: CopyTest;
let tools: string;
beforeAll(async () => {
  tools = mkdtempSync(join(tmpdir(), 'ibex-tools-'));
  copy = await CopyTest.start();
});
afterAll(async () => {
  await copy?.migration.stop();
  rmSync(tools, { recursive: true });
});

const state = (): string => copy.migration.config.host.stateDirectory;
const dumps = (): string[] => readdirSync(state()).filter((name) => name.startsWith('dump'));

/** A dump between whose two looks at capture something is done to the source. */
const dumpWhile = (change: string): Promise<PhaseOutcome> =>
  copy.within('dump', (context) =>
    dumpRows(context, {
      checkCapture,
      freeBytes: async () => {
        await copy.source.query(change);
        return 1e12;
      },
    }),
  );

describe('while rows are dumped', () => {
  beforeEach(() => copy.prepare(SMALL));

  it('a table may be made: the dump is kept, and says that it is without it', async () => {
    const { message } = await dumpWhile('CREATE TABLE late (id int PRIMARY KEY)');
    expect(message).toMatch(
      /^2 tables dumped, [^;]*; without what was made or renamed meanwhile: "public"."late"; restore says how that is brought$/,
    );
    expect(dumps()).toEqual(['dump']);
  });

  it('a table may be dropped that is not dumped yet', async () => {
    expect((await dumpWhile('DROP TABLE other')).message).toMatch(/^1 tables dumped, [^;]*$/);
    expect(dumps()).toEqual(['dump']);
  });

  it('no table may lose its trigger: its changes are not known, and nothing is kept of the dump', async () => {
    await expect(dumpWhile('DROP TRIGGER bucardo_delta ON large')).rejects.toThrow(
      /^changes are not captured after the dump; .*: "public"."large" has no trigger "bucardo_delta"$/,
    );
    expect(dumps()).toEqual([]);
  });
});

const WIDE = `SELECT i, md5(i::text) || md5((i + 1)::text) || md5((i + 2)::text) FROM generate_series(1, 200000) i`;

/** Bytes that the dump under way has written. */
const written = (): number => {
  const partial = dumps().find((name) => name.startsWith('dump.partial'));
  const files = partial === undefined ? [] : readdirSync(join(state(), partial));
  return files.reduce(
    (sum, name) => sum + (statSync(join(state(), partial ?? '', name), { throwIfNoEntry: false })?.size ?? 0),
    0,
  );
};

describe('sessions that were opened before pg_dump, idle for all its hours,', () => {
  const FILL = `CREATE TABLE large (id int PRIMARY KEY, filler text); INSERT INTO large ${WIDE}; ANALYZE`;

  /** Ends those of the phase on the source and on the host, as a restart or a reaper of idle sessions does. */
  async function endSessions(): Promise<void> {
    const { rowCount } = await copy.source.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ibex dump'`,
    );
    const host = await openStateSession(copy.migration.config.host);
    const ended = await host.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE application_name = 'ibex' AND datname = current_database() AND pid <> pg_backend_pid()`,
    );
    await host.end();
    expect([rowCount, ended.rowCount].map((count) => Number(count) > 0)).toEqual([true, true]);
  }

  it('may end: the dump is kept, and the phase ends as it would have', async () => {
    await copy.prepare(FILL);
    const dumping = copy.within(
      'dump',
      async (context) => {
        const { message } = await dumpRows(context);
        await context.state.phaseStarted('dump');
        return message;
      },
      { dump: { jobs: 1, compression: 'gzip:9' } },
    );
    const outcome = dumping.catch((error: Error) => error.message);
    await until(() => written() > 100_000);
    await endSessions();
    expect(await outcome).toMatch(/^1 tables dumped/);
    expect(dumps()).toEqual(['dump']);
  });

  /** A dump beside which both servers end its sessions each time that they are asked about capture once it is complete. */
  const dumpRefused = (times: number): Promise<PhaseOutcome> =>
    copy.within('dump', (context) => {
      let asked = 0;
      return dumpRows(context, {
        freeBytes: async () => 1e12,
        checkCapture: async (...question) => {
          asked += 1;
          if (asked > 1 && asked <= 1 + times) await endSessions();
          return checkCapture(...question);
        },
      });
    });

  it('may end once more while capture is looked at: that is looked at again', async () => {
    await copy.prepare(SMALL);
    expect((await dumpRefused(2)).message).toMatch(/^2 tables dumped/);
    expect(dumps()).toEqual(['dump']);
  });

  it('are waited for with an end, which names the way on', async () => {
    await copy.prepare(SMALL);
    const lost = new Error('Connection terminated unexpectedly');
    const asking = copy.within('dump', (context) => afterwards(context, () => Promise.reject(lost), 300));
    await expect(asking).rejects.toThrow(
      /^Connection terminated unexpectedly; the dump was complete and is removed all the same, .*; bring that server back, then start dump again$/,
    );
  });
});

describe('a statement that wants a table for itself before one of several jobs has begun with it', () => {
  it('has it at once, and the dump begins again', async () => {
    await copy.prepare(`
      CREATE TABLE first (id int PRIMARY KEY, filler text); INSERT INTO first ${WIDE};
      CREATE TABLE second (id int PRIMARY KEY, filler text); INSERT INTO second ${WIDE};
      CREATE TABLE small (id int PRIMARY KEY); INSERT INTO small VALUES (1); ANALYZE`);
    const dumped = copy.within('dump', (context) => dumpRows(context), { dump: { jobs: 2, compression: 'gzip:9' } });
    const outcome = dumped.then(
      ({ message }) => message,
      (error: Error) => error.message,
    );
    await until(() => written() > 100_000);
    const application = await copy.migration.admin('source');
    await application.query('TRUNCATE small');
    await application.end();
    expect(await outcome).toMatch(/^3 tables dumped/);
  });

  it('fails the dump by its words, and the way on, when that happens again and again', async () => {
    await copy.prepare(SMALL);
    const words = `pg_dump: error: could not obtain lock on relation "public.large"`;
    writeFileSync(
      join(tools, 'pg_dump'),
      `#!/bin/sh\ncase "$*" in *--file=*) echo x >> ${tools}/tries; echo '${words}' >&2; exit 1;; esac\nexec /usr/bin/pg_dump "$@"\n`,
      { mode: 0o755 },
    );
    const failing = copy.within('dump', (context) => dumpRows(context), {
      host: { ...copy.migration.config.host, clientTools: tools },
    });
    await expect(failing).rejects.toThrow(
      /^pg_dump failed: .*could not obtain lock on relation "public.large"; somebody waits to have that table for himself, .*; keep such statements away, or set agent.dump.jobs to 1 or .*, then start dump again$/,
    );
    expect(readFileSync(join(tools, 'tries'), 'utf8')).toBe('x\n'.repeat(3));
    expect(dumps()).toEqual([]);
  });
});
