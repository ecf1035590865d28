import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import type { AgentConfig } from '../../../assets/agent/config';
import { Jobs } from '../../../assets/agent/job';
import type { WatchRecord } from '../../../assets/agent/watch/record';
import { startBothWays, type BothWays } from '../cutover/both-ways';
import { until } from '../../helpers/until';

const TABLES = `
  CREATE TABLE account (id bigserial PRIMARY KEY, v numeric);
  CREATE TABLE probe (id int PRIMARY KEY)`;

let ways: BothWays;
let config: AgentConfig;
/** What the other configuration file says: that nothing is done by itself. */
let reporting: Readonly<Record<string, string>>;
/** And what a third one says: that no watch is wanted. */
let unwanted: Readonly<Record<string, string>>;
beforeAll(async () => {
  ways = await startBothWays(TABLES, {}, async ({ config: base }) => {
    config = {
      ...base,
      ready: {
        ...base.ready,
        health: { ...base.ready.health, command: ['/usr/bin/test', '!', '-e', illness(base)] },
      },
      watch: { ...base.watch, seconds: 600, everySeconds: 1, badLooks: 2, onBad: 'rollback' },
    };
    return config;
  });
  const file = join(ways.migration.secrets, '..', 'reporting.json');
  const cutover = { ...config.cutover, budgetSeconds: 5 };
  writeFileSync(file, JSON.stringify({ ...config, cutover, watch: { ...config.watch, seconds: 4, onBad: 'report' } }));
  reporting = { IBEX_CONFIG: file };
  const none = join(ways.migration.secrets, '..', 'unwanted.json');
  writeFileSync(none, JSON.stringify({ ...config, cutover, watch: { ...config.watch, seconds: 0 } }));
  unwanted = { IBEX_CONFIG: none };
});
afterAll(() => ways?.stop());

/** Whether the watch that is under way has come so far. */
const isAt = async (reached: (now: WatchRecord) => boolean): Promise<boolean> => {
  const now = await record();
  return now !== undefined && now.ended === undefined && reached(now);
};

const record = async (): Promise<WatchRecord | undefined> =>
  ((await ways.fact('watch.record')) as WatchRecord | null) ?? undefined;

/** The application is ill while this file is there. */
const illness = ({ host }: AgentConfig): string => `${host.runDirectory}.ill`;

const isWell = (well: boolean): void =>
  well ? rmSync(illness(config), { force: true }) : writeFileSync(illness(config), '');

interface Kept {
  readonly passed: boolean;
  readonly result: { readonly verdict: string; readonly figure: string; readonly todo?: string };
}
async function evidence(gate: string): Promise<Kept[]> {
  const { state } = await ways.migration.context('test', config);
  return (await state.allEvidence()).filter((one) => one['gate'] === gate) as unknown as Kept[];
}

async function move(phase: 'cutover' | 'rollback'): Promise<void> {
  const { status, output } = await ways.run(phase);
  expect([output, status]).toEqual([expect.stringMatching(/ takes writes; .* 0 different$/), 0]);
}

describe('before a cutover', () => {
  it('there is nothing to watch', async () => {
    expect((await ways.run('watch')).output).toContain('the source takes the writes: there is nothing to watch');
  });
});

describe('with rolling back by itself left off', () => {
  it('bad looks are reported to the end of the watch, and nothing else is done', async () => {
    await move('cutover');
    isWell(false);
    const { status, output } = await ways.die('watch', reporting);
    expect([status, output]).toEqual([
      0,
      expect.stringMatching(
        /^watch: ended, not well at its end: \d looks in \d s, \d bad; application health bad \d times, 1 of 1 probes are not well: application, .usr.bin.test: it ended with 1/,
      ),
    ]);
    expect(await ways.fences()).toEqual(['closed', 'open']);
    expect(await evidence('watch: bad looks in a row')).toEqual([
      expect.objectContaining({
        passed: false,
        result: expect.objectContaining({ todo: expect.stringContaining('agent.watch.onBad is "report"') }),
      }),
    ]);
    expect(await evidence('watch: application health')).toHaveLength(1);
    expect((await ways.run('watch')).output).toContain('watch: done already: ended, not well at its end');
  });

  it('each look has told of strays, connections, and the way back', async () => {
    const checks = (await record())!.checks;
    // Those of the test itself: one that asks, one that probes.
    expect(checks['strays at the source']!.last).toMatchObject({
      verdict: 'warn',
      figure: expect.stringMatching(/^2 sess/),
    });
    expect(checks['strays at the source']!.last.cause).toContain('@127.0.0.1 (2)');
    expect(checks['connections']!.last).toMatchObject({
      verdict: 'ok',
      figure: expect.stringMatching(/[1-9] by applications$/),
    });
    expect(checks['way back']!.last).toMatchObject({ verdict: 'ok', figure: expect.stringMatching(/^open, /) });
  });
});

describe('after a rollback', () => {
  it('a cutover and a watch that have succeeded count no more, so that migrate goes on to the next cutover and no cleanup', async () => {
    isWell(true);
    await move('rollback');
    const jobs = new Jobs(config);
    for (const job of ['cutover', 'watch']) expect(jobs.line(job)).toContain(`${job}: it was never started here`);
    for (const environment of [{}, unwanted]) {
      const { status, output } = await ways.die('watch', environment);
      expect([status, output]).toEqual([1, expect.stringContaining('the source takes the writes')]);
    }
  });
});

describe('a watch that is cut short', () => {
  it('goes on with the time that is left after it was killed, and ends by hand', async () => {
    await move('cutover');
    await ways.kill('watch', () => isAt(({ looks }) => looks >= 2));
    const { watchedSeconds, looks } = (await record())!;
    expect(watchedSeconds).toBeGreaterThan(0);
    expect((await ways.run('watch', '--stop')).output).toMatch(/^watch: it ends at its next look, after \d of 600 s/);
    expect((await ways.run('watch')).output).toMatch(
      new RegExp(`^watch: ended by hand: ${looks} looks in \\d+ s, none bad`),
    );
  });
});

describe('with rolling back by itself on', () => {
  it('a probe that fails moves the writes back, with all that the target has taken, once the way back is open', async () => {
    await move('rollback');
    await move('cutover');
    const writer = startWriter(ways);
    const watch = ways.run('watch');
    await until(() => isAt(({ looks, decisions }) => looks >= 1 && decisions.length === 0));
    // A row that the old side cannot hold, and then a bad probe: nothing may be rolled back.
    await ways.target.query(`INSERT INTO public.account (v) VALUES ('Infinity')`);
    await until(async () => ((await ways.fact('back.sync.problem')) as object | null) !== null);
    isWell(false);
    await until(async () => (await evidence('watch: bad looks in a row')).length === 2);
    expect((await evidence('watch: bad looks in a row'))[1]!.result.todo).toMatch(
      /^nothing is rolled back, since the way back is closed: the way back is closed since .*account.* cannot be applied/,
    );
    expect(await ways.fences()).toEqual(['closed', 'open']);

    await ways.target.query(`DELETE FROM public.account WHERE v = 'Infinity'`);
    const { status, output } = await watch;
    expect([status, output]).toEqual([
      1,
      expect.stringMatching(
        /^ibex: rolled back by itself because of application health: 1 of 1 probes .*; succeeded rollback: the source takes writes; .* 0 different/,
      ),
    ]);
    expect(await ways.fences()).toEqual(['open', 'closed']);
    const acknowledged = await writer.stop();
    expect(acknowledged.length).toBeGreaterThan(20);
    const there = new Set((await ways.source.query('SELECT id FROM public.account')).rows.map(({ id }) => String(id)));
    expect(acknowledged.filter((id) => !there.has(id))).toEqual([]);
    expect((await record())!.decisions).toEqual([
      expect.objectContaining({ outcome: expect.stringMatching(/^succeeded rollback/) }),
    ]);
  });

  it('killed while the rollback runs, lets that go on, and says at its next start what became of it', async () => {
    isWell(true);
    await move('cutover');
    isWell(false);
    await ways.kill('watch', () => isAt(({ decisions }) => decisions.some(({ outcome }) => outcome === undefined)));
    expect((await ways.run('watch')).output).toMatch(/^ibex: rolled back by itself because of application health/);
    expect(await ways.fences()).toEqual(['open', 'closed']);
  });

  it.each([
    ['a moment after the decision it is its own', 0, 'rolled back by itself because of something; the source'],
    ['ten minutes after it is somebody', -600_000, 'somebody has moved them back, and the watch is over'],
  ])('killed before it saw the rollback begin, knows whose that was: %s', async (_, age, said) => {
    isWell(true);
    await move('cutover');
    const { state } = await ways.migration.context('test', config);
    await ways.kill('watch', () => isAt(({ looks, decisions }) => looks >= 1 && decisions.length === 0));
    const at = new Date(Date.now() + age).toISOString();
    const decision = { at, why: 'something', outcome: 'abandoned: looks are counted anew' };
    await state.setFact('watch.record', { ...(await record()), decisions: [decision] });
    await move('rollback');
    expect((await ways.run('watch')).output).toContain(said);
  });

  it('killed before the rollback began, abandons what was decided and counts looks anew', async () => {
    isWell(true);
    await move('cutover');
    const { state } = await ways.migration.context('test', config);
    await ways.kill('watch', () => isAt(({ looks, decisions }) => looks >= 1 && decisions.length === 0));
    await state.setFact('watch.record', { ...(await record()), decisions: [{ at: 'then', why: 'something' }] });
    await ways.kill('watch', () => isAt(({ decisions }) => decisions[0]?.outcome !== undefined));
    expect((await record())!.decisions[0]!.outcome).toContain('abandoned');
    expect(await ways.fences()).toEqual(['closed', 'open']);
  });
});

/** An application that inserts one row after the other, wherever a write is taken. */
function startWriter({ migration }: BothWays): { stop(): Promise<string[]> } {
  const acknowledged: string[] = [];
  const ending = new AbortController();
  const done = (async () => {
    const ends = await Promise.all([migration.admin('source'), migration.admin('target')]);
    while (!ending.signal.aborted) {
      for (const end of ends) {
        const id = await insert(end);
        if (id !== undefined) acknowledged.push(id);
      }
      await sleep(20);
    }
    await Promise.all(ends.map((end) => end.end()));
  })();
  return {
    stop: async () => {
      ending.abort();
      await done;
      return acknowledged;
    },
  };
}

async function insert(end: Client): Promise<string | undefined> {
  try {
    const { rows } = await end.query('INSERT INTO public.account (v) VALUES (1) RETURNING id');
    return String((rows[0] as { id: string }).id);
  } catch {
    return undefined;
  }
}
