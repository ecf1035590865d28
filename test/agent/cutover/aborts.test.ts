import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientsSaw } from '../../../assets/agent/cutover/clients-saw';
import type { End } from '../../../assets/agent/endpoints';
import type { AgentConfig } from '../../../assets/agent/config';
import { heldDirection, wantedDirection } from '../../../assets/agent/sync/supervisor-job';
import { isRunning } from '../../helpers/processes';
import { startBothWays, type BothWays } from './both-ways';

const BUDGET_SECONDS = 4;

let directory: string;
let ways: BothWays;
let probe: ReturnType<typeof prober>;

const file = (name: string): string => join(directory, name);
/** What the hook does from now on: a shell command. */
const hook = (command: string): void => writeFileSync(file('behaviour'), command);
/** What the hook was told so far. */
const told = (): string[] => (existsSync(file('told')) ? readFileSync(file('told'), 'utf8').trim().split('\n') : []);

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ibex-aborts-'));
  const script = `echo "$IBEX_MOMENT $1" >> '${file('told')}'; echo $$ > '${file('pid')}'; . '${file('behaviour')}'`;
  ways = await startBothWays(
    'CREATE TABLE probe (id int PRIMARY KEY); CREATE TABLE t (id int PRIMARY KEY)',
    {
      budgetSeconds: BUDGET_SECONDS,
      compareAtFreeze: false,
      switches: [{ kind: 'command', command: ['/bin/sh', '-c', script, 'hook'], timeoutSeconds: 60 }],
    },
    // An open transaction, or on a slow machine what waits to be applied, would keep the pause from being begun.
    async ({ config }) => ({ ready: { ...config.ready, transactionSeconds: 600, lagSeconds: 600 } }),
  );
});
afterAll(async () => {
  await ways?.stop();
  rmSync(directory, { recursive: true, force: true });
});
beforeEach(() => {
  rmSync(file('told'), { force: true });
  rmSync(file('pid'), { force: true });
});

/** Writes to both ends every 100 ms, and keeps what it saw. @param serving the end that takes writes */
function prober(serving: End, other: End) {
  let both = 0;
  let refusedSince: number | undefined;
  let longestMs = 0;
  const stopping = new AbortController();
  let accepts = false;
  const done = (async () => {
    while (!stopping.signal.aborted) {
      // One after the other: a pair that is answered at one instant cannot be had.
      const here = await ways.takesWrites(serving);
      const there = await ways.takesWrites(other);
      const again = there && (await ways.takesWrites(serving));
      if (again) both += 1;
      accepts = here;
      if (here) refusedSince = undefined;
      else longestMs = Math.max(longestMs, performance.now() - (refusedSince ??= performance.now()));
      await sleep(100);
    }
  })();
  return {
    /** Whether the end that serves took the last write. */
    accepts: () => accepts,
    stop: async () => {
      stopping.abort();
      await done;
      return { both, longestMs };
    },
  };
}

describe.each<[string, End, End]>([
  ['cutover', 'source', 'target'],
  ['rollback', 'target', 'source'],
])('a %s from the %s to the %s', (phase, serving, other) => {
  beforeEach(() => {
    probe = prober(serving, other);
  });
  afterEach(() => probe.stop());

  /** Writes go on where they were in time, nobody ever had both ends, and the changes are to be applied as before. */
  async function goesOn(asked: (config: AgentConfig) => unknown = wantedDirection): Promise<void> {
    for (const end = Date.now() + (BUDGET_SECONDS + 5) * 1000; !probe.accepts();) {
      if (Date.now() > end) throw new Error(`the ${serving} takes no writes within the budget and five seconds`);
      await sleep(50);
    }
    const { both, longestMs } = await probe.stop();
    expect(both).toBe(0);
    expect(longestMs).toBeLessThan((BUDGET_SECONDS + 5) * 1000);
    expect(await ways.takesWrites(other)).toBe(false);
    expect(asked(ways.config)).toBe(serving === 'source' ? 'forward' : 'back');
  }

  /** A run, and whether it has ended. */
  function started(name: string): { ended: boolean; readonly result: ReturnType<BothWays['run']> } {
    const result = ways.run(name);
    const run = { ended: false, result };
    void result.then(() => (run.ended = true));
    return run;
  }

  const stands = async (fact: string): Promise<boolean> =>
    ((await ways.fact(fact)) as { problems?: readonly string[] } | null | undefined)?.problems?.[0] !== undefined;

  /** The way back is closed by a table that is other than before; what is mended sooner may still be found later. */
  async function wayBackCloses(): Promise<void> {
    if (serving === 'source') return;
    while (!(await stands('back.sync.problem'))) await sleep(50);
  }

  /** What the supervisor found while the table was other than before does not stand any more. */
  async function withoutProblems(): Promise<void> {
    const facts = ['sync.problem', 'sync.catalog'].map((name) => (serving === 'source' ? name : `back.${name}`));
    for (const fact of facts) while (await stands(fact)) await sleep(50);
  }

  /** The row is at the source: nothing that the way back met before stands in its way. */
  async function fedBack(id: number): Promise<void> {
    while ((await ways.source.query('SELECT FROM public.t WHERE id = $1', [id])).rowCount === 0) await sleep(50);
  }

  it('with a transaction that does not end spends the budget, and that transaction may end as it likes', async () => {
    hook('true');
    const stuck = await ways.migration.admin(serving);
    try {
      await stuck.query('BEGIN; INSERT INTO public.t VALUES (100)');
      const { status, output } = await ways.run(phase);
      expect([status, output]).toEqual([
        1,
        // Whichever notices first: the fence, or the pause around it.
        expect.stringMatching(/writes could not be stopped in|the time budget of 4 s was spent at step "fence"/),
      ]);
      await goesOn();
      expect(told()).toEqual([]);
      await stuck.query(`UPDATE public.t SET id = ${serving === 'source' ? 101 : 102} WHERE id = 100; COMMIT`);
    } finally {
      await stuck.end();
    }
  });

  it('with a transaction that was prepared and left does not begin', async () => {
    hook('true');
    const id = serving === 'source' ? 111 : 112;
    await ways[serving].query(`BEGIN; INSERT INTO public.t VALUES (${id}); PREPARE TRANSACTION 'left'`);
    try {
      const { status, output } = await ways.run(phase);
      expect([status, output]).toEqual([
        1,
        `ibex: ${phase} cannot begin: no prepared transaction: 1 open at the ${serving}: left; COMMIT PREPARED or ROLLBACK PREPARED them`,
      ]);
      await goesOn();
    } finally {
      await ways[serving].query(`COMMIT PREPARED 'left'`);
    }
  });

  it('to an end that refuses a change, gives writes back', async () => {
    hook('true');
    await ways[other].query(`
      CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''disk full''; END';
      CREATE TRIGGER refuse BEFORE INSERT ON public.t FOR EACH ROW EXECUTE PROCEDURE public.refuse();
      ALTER TABLE public.t ENABLE ALWAYS TRIGGER refuse`);
    try {
      await ways[serving].query(`INSERT INTO public.t VALUES (${serving === 'source' ? 11 : 12})`);
      const { status, output } = await ways.run(phase);
      expect([status, output]).toEqual([1, expect.stringMatching(/disk full/)]);
      await goesOn();
      expect(told()).toEqual([]);
    } finally {
      await ways[other].query('DROP FUNCTION public.refuse() CASCADE');
    }
    if (serving === 'target') await fedBack(12);
    await withoutProblems();
  });

  it('with a hook that fails ends, and clients are moved back', async () => {
    hook(`[ "$1" = ${serving} ] || { echo "no such cluster" >&2; exit 7; }`);
    const { status, output } = await ways.run(phase);
    expect(status).toBe(1);
    expect(output).toMatch(/\/bin\/sh no such cluster \(write pause \d+ ms\)$/);
    expect(told()).toEqual([`switch ${other}`, `switch ${serving}`]);
    await goesOn();
  });

  it('with a hook that hangs spends the budget, the hook is gone, and only then clients are moved back', async () => {
    hook(
      `if [ "$1" = ${other} ]; then cp '${file('pid')}' '${file('first')}'; sleep 60; fi; ` +
        `grep -qs '^State:.[^Z]' /proc/$(cat '${file('first')}')/status && echo beside >> '${file('told')}'; true`,
    );
    const { status, output } = await ways.run(phase);
    expect(status).toBe(1);
    expect(output).toMatch(
      new RegExp(`switching clients to the ${other} by /bin/sh took longer than the [0-4](\\.\\d)? s`),
    );
    expect(told()).toEqual([`switch ${other}`, `switch ${serving}`]);
    await goesOn();
    const { clientsSaw } = (await ways.fact(`${serving === 'source' ? '' : 'back.'}cutover.timeline`)) as {
      clientsSaw: ClientsSaw;
    };
    // The login of the target may not see what others do there.
    const refused = clientsSaw.kinds.filter(({ how, errors }) => how.startsWith('asked the source') && errors > 0);
    expect(refused).toHaveLength(serving === 'source' ? 1 : 0);
    expect(clientsSaw.unknown.join()).toMatch(
      serving === 'source' ? /^$/ : /^\d sessions on the target: our login may not/,
    );
  });

  it('that is killed while a hook hangs leaves a hook that ends by itself in time', async () => {
    hook('sleep 60');
    await ways.kill(phase, () => Promise.resolve(existsSync(file('pid'))));
    const pid = Number(readFileSync(file('pid'), 'utf8'));
    // By the supervisor, which is up from boot; none is here.
    await goesOn(heldDirection);
    for (const end = Date.now() + 5_000; isRunning(pid) && Date.now() < end;) await sleep(50);
    expect(isRunning(pid)).toBe(false);
    expect(told()).toEqual([`switch ${other}`]);
  });

  it('over a table that is made between the checks and the fence gives writes back, and names it', async () => {
    hook('true');
    while (!probe.accepts()) await sleep(10);
    const [late, writer] = [await ways.migration.admin(serving), await ways.migration.admin(serving)];
    await late.query('BEGIN; CREATE TABLE public.late (id int PRIMARY KEY); INSERT INTO public.late VALUES (1)');
    // A table that the master may not lock would be refused by the fence for that alone.
    if (serving === 'target') await late.query('ALTER TABLE public.late OWNER TO master');
    // Keeps the fence waiting until the new table is there, so that it is fenced as well.
    await writer.query('BEGIN; INSERT INTO public.t VALUES (99)');
    const run = started(phase);
    while (probe.accepts() && !run.ended) await sleep(10);
    await late.query('COMMIT');
    await sleep(700);
    await writer.query('ROLLBACK');
    const { status, output } = await run.result;
    await wayBackCloses();
    await late.query('DROP TABLE public.late');
    await Promise.all([late.end(), writer.end()]);
    expect([status, output]).toEqual([1, expect.stringContaining('table "public"."late" is new')]);
    // The attempt before was killed, so this one has led its clients back.
    expect(told()).toEqual([`switch ${serving}`]);
    await goesOn();
    await withoutProblems();
  });

  it('over a column that is added behind the fence gives writes back, and names the table', async () => {
    hook(`[ "$1" = ${serving} ] || while [ ! -e '${file('altered')}' ]; do sleep 0.05; done`);
    const run = started(phase);
    while (told().length === 0 && !run.ended) await sleep(10);
    await ways[serving].query('ALTER TABLE public.t ADD COLUMN note text');
    writeFileSync(file('altered'), '');
    const { status, output } = await run.result;
    await wayBackCloses();
    await ways[serving].query('ALTER TABLE public.t DROP COLUMN note');
    rmSync(file('altered'));
    expect([status, output]).toEqual([1, expect.stringContaining('table "public"."t" has other columns')]);
    await goesOn();
    await withoutProblems();
  });

  it('with a row that differs ends in the pause, names it, and gives writes back', async () => {
    hook('true');
    const alter = async (statement: string): Promise<void> => {
      await ways[other].query('BEGIN; SET LOCAL session_replication_role = replica');
      try {
        await ways[other].query(statement);
      } finally {
        await ways[other].query('COMMIT');
      }
    };
    const { client } = (await ways.migration.context('test')).state;
    await alter('INSERT INTO public.t VALUES (99)');
    try {
      await client.query(
        `INSERT INTO ibex.verified (schema_name, relation_name, verified_at) VALUES ('public', 't', now())
         ON CONFLICT (schema_name, relation_name) DO UPDATE SET verified_at = now()`,
      );
      await client.query(`INSERT INTO ibex.dirty_key (schema_name, relation_name, key) VALUES ('public', 't', '{99}')`);
      const { status, output } = await ways.run(phase);
      expect([status, output]).toEqual([
        1,
        // The pause finds it, unless the supervisor looks often enough before.
        expect.stringMatching(
          /1 rows differ although everything is applied: "public"."t" \(99\) extra on target; |rows of "public"."t" were found different/,
        ),
      ]);
      await goesOn();
      expect(told()).toEqual([]);
      // From then on the gate knows, and no second pause is spent on it.
      expect((await ways.run(phase)).output).toContain('rows of "public"."t" were found different');
    } finally {
      await alter('DELETE FROM public.t WHERE id = 99');
      await client.query('DELETE FROM ibex.dirty_key');
    }
  });

  it('succeeds after all that, with every row', async () => {
    hook('true');
    await ways[serving].query(`INSERT INTO public.t VALUES (${serving === 'source' ? 1 : 2})`);
    expect(await ways.run(phase)).toMatchObject({ status: 0 });
    expect(told()).toEqual([`switch ${other}`]);
    const rows = await ways.rows(serving, 'public.t');
    expect(rows).toEqual(serving === 'source' ? ['(1)', '(101)', '(11)', '(111)'] : rows);
    expect(rows).toHaveLength(serving === 'source' ? 4 : 8);
    expect(await ways.rows(other, 'public.t')).toEqual(rows);
  });
});
