import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { foldRuns } from '../../assets/agent/bucardo/runs';
import type { AgentConfig } from '../../assets/agent/config';
import { connectToHost } from '../../assets/agent/connect';
import { bucardoServiceFile } from '../../assets/agent/libpq';
import { State } from '../../assets/agent/state';
import { Kicks } from '../../assets/agent/sync/kicks';
import type { Rehearsal } from '../../lib/rehearsal/rehearsal';
import { openRehearsal, withSession } from '../helpers/rehearsal';
import { until } from '../helpers/until';

/** Leaves out of the run the row that the target refuses, and has the rest tried again. */
const HANDLER = `
  my $info = shift;
  delete $info->{deltabin}{ibex_source}{1};
  $info->{message} = "left out of $info->{schemaname}.$info->{tablename}";
  $info->{retry} = 1;
  return;`;

/** Would be heard of in Bucardo's log. */
const IDLE_HANDLER = `my $info = shift; $info->{message} = 'a conflict'; return;`;

const directory = mkdtempSync(join(tmpdir(), 'ibex-real-bucardo-'));
let rehearsal: Rehearsal;
let source: Client;
let target: Client;
let control: Client;

beforeAll(async () => {
  const file = join(directory, 'leave-out.pl');
  const idle = join(directory, 'conflict.pl');
  // Bucardo runs as another user.
  chmodSync(directory, 0o755);
  writeFileSync(file, HANDLER, { mode: 0o644 });
  writeFileSync(idle, IDLE_HANDLER, { mode: 0o644 });
  // Bucardo by itself would look every five minutes.
  const handlers = [
    { when: 'exception', file },
    { when: 'conflict', file: idle },
  ];
  const sync = { checkSeconds: 300, syncs: 1, handlers };
  rehearsal = await openRehearsal({ settings: { sync } as unknown as Partial<AgentConfig> });
  await withSession(rehearsal, 'source', (client) =>
    client.query('ALTER TABLE public.pgbench_tellers ENABLE ROW LEVEL SECURITY'),
  );
  // What sync waits for would otherwise come when Bucardo looks.
  const kicks = new Kicks(rehearsal.lab.config, 200);
  try {
    for (const phase of ['assess', 'schema', 'capture', 'dump', 'restore', 'sync']) {
      const { status, failureMessage } = await rehearsal.run(phase);
      expect([phase, status, failureMessage]).toEqual([phase, 'Success', undefined]);
    }
  } finally {
    await kicks.close();
  }
  const { lab } = rehearsal;
  source = await lab.connect('source');
  target = await lab.target.admin(lab.config.target.database);
  control = await connectToHost(lab.config.host, 'bucardo');
}, 240_000);

afterAll(async () => {
  await Promise.allSettled([source?.end(), target?.end(), control?.end()]);
  await rehearsal?.close();
  rmSync(directory, { recursive: true });
}, 60_000);

const balances = async (client: Client): Promise<unknown[]> =>
  (await client.query('SELECT tid, tbalance FROM public.pgbench_tellers WHERE tid <= 3 ORDER BY 1')).rows as unknown[];

describe('Bucardo itself', () => {
  test('writes a table under row security, which is switched on before it is handed over, and which is found equal', async () => {
    const guarded = `SELECT relrowsecurity AS on FROM pg_class WHERE oid = 'public.pgbench_tellers'::regclass`;
    expect((await target.query(guarded)).rows).toEqual([{ on: true }]);
    await source.query('UPDATE public.pgbench_tellers SET tbalance = 55 WHERE tid = 5');
    const kicks = new Kicks(rehearsal.lab.config, 200);
    try {
      const arrived = 'SELECT FROM public.pgbench_tellers WHERE tid = 5 AND tbalance = 55';
      await until(async () => (await target.query(arrived)).rowCount === 1, { seconds: 60 });
      expect(await rehearsal.run('verify')).toMatchObject({ status: 'Success' });
    } finally {
      await kicks.close();
    }
    // Catch-up would have brought it, too.
    const { rows } = await control.query('SELECT status FROM bucardo.syncrun WHERE lastbad');
    expect(rows).toEqual([]);
  }, 90_000);

  test('runs when it is kicked over the host, and does what the exception handler decides', async () => {
    await target.query('ALTER TABLE public.pgbench_tellers ADD CONSTRAINT refused CHECK (tbalance <> 666)');
    await source.query('UPDATE public.pgbench_tellers SET tbalance = 665 + tid WHERE tid <= 3');
    const kicks = new Kicks(rehearsal.lab.config, 200);
    try {
      const arrived = 'SELECT FROM public.pgbench_tellers WHERE tid = 3 AND tbalance = 668';
      for (const end = Date.now() + 60_000; (await target.query(arrived)).rowCount === 0; await sleep(50)) {
        if (Date.now() > end) throw new Error('the change never arrived');
      }
    } finally {
      await kicks.close();
    }
    const before = (await balances(target))[0];
    expect(await balances(target)).toEqual([before, { tid: 2, tbalance: 667 }, { tid: 3, tbalance: 668 }]);
    expect(before).not.toEqual({ tid: 1, tbalance: 666 });
    const log = readFileSync(join(rehearsal.lab.config.host.stateDirectory, 'log/bucardo/log.bucardo'), 'utf8');
    expect(log).toContain('Message from exception code ibex_handler_1: left out of public.pgbench_tellers');
  }, 90_000);

  test('never calls a handler for conflicts, not even for a row that somebody has changed on the target, and sync says so', async () => {
    const state = await State.open(rehearsal.lab.config.host);
    try {
      const found = (await state.allEvidence()).find(({ gate }) => gate === 'handlers that can run');
      expect(found).toMatchObject({ phase: 'sync', passed: false, result: { verdict: 'warn' } });
      const message = (await state.phase('sync'))?.message;
      expect(message).toContain(
        `; handlers for conflicts never run in one direction: ${join(directory, 'conflict.pl')}`,
      );
    } finally {
      await state.close();
    }
    await target.query(
      `BEGIN; SET LOCAL session_replication_role = 'replica'; UPDATE public.pgbench_tellers SET tbalance = -1 WHERE tid = 4; COMMIT`,
    );
    await source.query('UPDATE public.pgbench_tellers SET tbalance = 444 WHERE tid = 4');
    const kicks = new Kicks(rehearsal.lab.config, 200);
    try {
      const arrived = 'SELECT FROM public.pgbench_tellers WHERE tid = 4 AND tbalance = 444';
      await until(async () => (await target.query(arrived)).rowCount === 1, { seconds: 60 });
    } finally {
      await kicks.close();
    }
    const log = readFileSync(join(rehearsal.lab.config.host.stateDirectory, 'log/bucardo/log.bucardo'), 'utf8');
    expect(log).not.toMatch(/conflict code|code_conflict/);
  }, 90_000);

  test('keeps one row for all runs that are long over, with all that they moved', async () => {
    // Only of these: Bucardo goes on meanwhile, and may begin another run.
    const moved = `SELECT count(*)::int AS runs, sum(greatest(deletes, inserts))::int AS rows FROM bucardo.syncrun
      WHERE ended < now() - interval '1 hour'`;
    await control.query(
      `INSERT INTO bucardo.syncrun (sync, started, ended, deletes, inserts)
       SELECT 'ibex', now() - i * interval '1 day', now() - i * interval '1 day', 3, i FROM generate_series(1, 5) i`,
    );
    const before = (await control.query(moved)).rows[0] as { runs: number; rows: number };
    await foldRuns(rehearsal.lab.config.host);
    expect((await control.query(moved)).rows).toEqual([{ runs: before.runs - 4, rows: before.rows }]);
    const flags = 'SELECT count(*)::int AS n FROM bucardo.syncrun WHERE lastgood OR lastempty';
    expect((await control.query(flags)).rows).not.toEqual([{ n: 0 }]);
  });

  test.each([
    [
      'no time-out that the database carries, which would end its sessions again and again while they wait',
      { idle_session_timeout: '1h', transaction_timeout: '1h', statement_timeout: '1h' },
      '0|0|0',
    ],
    [
      'no form of values and names that the database carries: NULL in an array would become a text',
      { array_nulls: 'off', xmloption: 'document', quote_all_identifiers: 'on' },
      'on|content|off',
    ],
  ])('has %s', async (_what, carried, expected) => {
    const { host, target: there } = rehearsal.lab.config;
    const database = `ALTER DATABASE "${there.database}"`;
    const env = { ...process.env, PGSERVICEFILE: bucardoServiceFile(host.runDirectory) };
    const query = Object.keys(carried).map((name) => `current_setting('${name}')`);
    try {
      for (const [name, value] of Object.entries(carried)) await target.query(`${database} SET ${name} = '${value}'`);
      const seen = execFileSync('psql', ['service=ibex_target', '-XAtc', `SELECT ${query.join(', ')}`], {
        env,
        encoding: 'utf8',
      });
      expect(seen.trim()).toBe(expected);
    } finally {
      for (const name of Object.keys(carried)) await target.query(`${database} RESET ${name}`);
    }
  });

  test('asks a silent server after 30 s, which it does not where it is set up without us', async () => {
    const services = readFileSync(bucardoServiceFile(rehearsal.lab.config.host.runDirectory), 'utf8').split('\n\n');
    const asksAfter = async (name: string): Promise<string[] | null> => {
      const { rows } = await control.query(
        'SELECT dbservice AS service, dbconn AS more FROM bucardo.db WHERE name = $1',
        [name],
      );
      const { service, more } = rows[0] as { service: string | null; more: string | null };
      const own = services.find((each) => each.startsWith(`[${service}]`)) ?? '';
      return `${own}\n${more}`.match(/keepalives_idle=\d+/g);
    };
    await control.query(`BEGIN; INSERT INTO bucardo.db (name, dbhost, dbname, dbuser) VALUES ('stock', 'h', 'd', 'u')`);
    const asked: (string[] | null)[] = [];
    for (const name of ['stock', 'ibex_source', 'ibex_target']) asked.push(await asksAfter(name));
    await control.query('ROLLBACK');
    expect(asked).toEqual([null, ['keepalives_idle=30'], ['keepalives_idle=30']]);
  });
});
