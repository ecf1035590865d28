import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { killBucardo } from '../../assets/agent/bucardo/daemon';
import { purgeApplied } from '../../assets/agent/bucardo/queues';
import { foldRuns } from '../../assets/agent/bucardo/runs';
import type { Relation } from '../../assets/agent/catalog/relations';
import type { AgentConfig } from '../../assets/agent/config';
import { connectToHost } from '../../assets/agent/connect';
import { bucardoServiceFile } from '../../assets/agent/libpq';
import { Kicks } from '../../assets/agent/sync/kicks';
import { stopSupervisor } from '../../assets/agent/sync/supervisor-job';
import type { Rehearsal } from '../../lib/rehearsal/rehearsal';
import { openRehearsal } from '../helpers/rehearsal';

/** Leaves out of the run the row that the target refuses, and has the rest tried again. */
const HANDLER = `
  my $info = shift;
  delete $info->{deltabin}{ibex_source}{1};
  $info->{message} = "left out of $info->{schemaname}.$info->{tablename}";
  $info->{retry} = 1;
  return;`;

/** Database, and sync, of a Bucardo as it makes its own objects. */
const STOCK = 'stock';

const directory = mkdtempSync(join(tmpdir(), 'ibex-real-bucardo-'));
let rehearsal: Rehearsal;
let source: Client;
let target: Client;
let control: Client;

beforeAll(async () => {
  const file = join(directory, 'leave-out.pl');
  // Bucardo runs as another user.
  chmodSync(directory, 0o755);
  writeFileSync(file, HANDLER, { mode: 0o644 });
  // Bucardo by itself would look every five minutes.
  const sync = { checkSeconds: 300, syncs: 1, handlers: [{ when: 'exception', file }] };
  rehearsal = await openRehearsal({ settings: { sync } as unknown as Partial<AgentConfig> });
  for (const phase of ['assess', 'schema', 'capture', 'dump', 'restore', 'sync']) {
    const { status, failureMessage } = await rehearsal.run(phase);
    expect([phase, status, failureMessage]).toEqual([phase, 'Success', undefined]);
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

  test('keeps one row for all runs that are long over, with all that they moved', async () => {
    const moved = 'SELECT count(*)::int AS runs, sum(greatest(deletes, inserts))::int AS rows FROM bucardo.syncrun';
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
});

describe('what our capture does otherwise than stock Bucardo 5.6.0', () => {
  let stock: Client;
  beforeAll(async () => {
    const { lab } = rehearsal;
    await stopSupervisor(lab.config);
    await killBucardo(lab.config.host);
    const boss = await lab.source.admin();
    await boss.query(`CREATE ROLE ${STOCK} SUPERUSER LOGIN PASSWORD '${STOCK}'`);
    await boss.query(`CREATE DATABASE ${STOCK} OWNER ${STOCK}`);
    await boss.end();
    stock = await lab.source.admin(STOCK);
    await stock.query('CREATE TABLE public.pgbench_tellers (tid int PRIMARY KEY, tbalance int)');
    await control.query('INSERT INTO bucardo.dbgroup (name) VALUES ($1)', [STOCK]);
    for (const role of ['source', 'target']) {
      await control.query(
        `INSERT INTO bucardo.db (name, dbhost, dbport, dbname, dbuser, dbpass) VALUES ($1, $2, $3, $4, $4, $4)`,
        [`${STOCK}_${role}`, lab.source.host, lab.source.port, STOCK],
      );
      await control.query('INSERT INTO bucardo.dbmap (db, dbgroup, role) VALUES ($1, $2, $3)', [
        `${STOCK}_${role}`,
        STOCK,
        role,
      ]);
    }
    await control.query('INSERT INTO bucardo.herd (name) VALUES ($1)', [STOCK]);
    const { rows } = await control.query(
      `INSERT INTO bucardo.goat (db, schemaname, tablename, reltype) VALUES ($1, 'public', 'pgbench_tellers', 'table') RETURNING id`,
      [`${STOCK}_source`],
    );
    await control.query('INSERT INTO bucardo.herdmap (herd, goat) VALUES ($1, $2)', [
      STOCK,
      (rows[0] as { id: number }).id,
    ]);
    // Its trigger on this table makes everything on the source.
    await control.query(
      `INSERT INTO bucardo.sync (name, herd, dbs, status, autokick) VALUES ($1, $1, $1, 'inactive', true)`,
      [STOCK],
    );
  }, 60_000);
  afterAll(() => stock?.end());

  test('no write tells anybody: NOTIFY makes commits wait for each other', async () => {
    const notifying = async (client: Client): Promise<number> =>
      (
        await client.query(
          `SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
           WHERE t.tgrelid = 'public.pgbench_tellers'::regclass AND NOT t.tgisinternal AND p.prosrc ~* 'notify'`,
        )
      ).rowCount ?? 0;
    expect(await notifying(stock)).toBe(1);
    expect(await notifying(source)).toBe(0);
  });

  test('TRUNCATE leaves the queue as it is, so that it waits for no run, and a marker says what is to be copied', async () => {
    const queued = async (client: Client): Promise<number> =>
      (await client.query('SELECT FROM bucardo.delta_public_pgbench_tellers')).rowCount ?? 0;
    for (const [client, kept] of [
      [stock, false],
      [source, true],
    ] as const) {
      await client.query('INSERT INTO public.pgbench_tellers (tid) VALUES (100001)');
      const before = await queued(client);
      expect(before).toBeGreaterThan(0);
      await client.query('BEGIN; TRUNCATE public.pgbench_tellers');
      const locked = await client.query(
        `SELECT FROM pg_locks WHERE pid = pg_backend_pid() AND mode = 'AccessExclusiveLock'
           AND relation = 'bucardo.delta_public_pgbench_tellers'::regclass`,
      );
      expect([locked.rowCount === 0, (await queued(client)) === before]).toEqual([kept, kept]);
      if (kept) {
        const marked = await client.query(`SELECT relation_name AS name FROM bucardo.ibex_truncated`);
        expect(marked.rows).toEqual([{ name: 'pgbench_tellers' }]);
      }
      await client.query('ROLLBACK');
    }
  });

  test('a change that is noted twice for another group, and never for ours, is not forgotten', async () => {
    const kept: number[] = [];
    const change = `DELETE FROM bucardo.delta_public_pgbench_tellers; DELETE FROM bucardo.track_public_pgbench_tellers;
      INSERT INTO public.pgbench_tellers (tid) VALUES (100002);
      INSERT INTO bucardo.track_public_pgbench_tellers
        SELECT txntime, 'dbgroup other' FROM bucardo.delta_public_pgbench_tellers, generate_series(1, 2)`;
    const left = async (client: Client): Promise<number> =>
      (await client.query('SELECT FROM bucardo.delta_public_pgbench_tellers')).rowCount ?? 0;
    await stock.query(
      `DELETE FROM bucardo.bucardo_delta_targets;
       INSERT INTO bucardo.bucardo_delta_targets (tablename, target)
       SELECT 'public.pgbench_tellers'::regclass, 'dbgroup ' || name FROM unnest(ARRAY['${STOCK}', 'other']) AS s (name)`,
    );
    await stock.query(change);
    await stock.query(`SELECT bucardo.bucardo_purge_delta('0 seconds')`);
    kept.push(await left(stock));
    await source.query(change);
    await purgeApplied(source, { schema: 'public', name: 'pgbench_tellers' } as Relation);
    kept.push(await left(source));
    expect(kept).toEqual([0, 1]);
  });

  test('queues have the indexes that Bucardo would make, and are vacuumed by count', async () => {
    const indexes = async (client: Client): Promise<unknown[]> =>
      (
        await client.query(
          `SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'bucardo'
             AND tablename ~ '^(delta|track|stage)_public_pgbench_tellers$' ORDER BY indexdef`,
        )
      ).rows as unknown[];
    const ours = await indexes(source);
    expect(ours).toHaveLength(3);
    expect(ours).toEqual(await indexes(stock));
    const byCount = async (client: Client): Promise<unknown> =>
      (
        await client.query(
          `SELECT 'autovacuum_vacuum_scale_factor=0' = ANY (coalesce(reloptions, '{}')) AS by_count FROM pg_class
           WHERE oid = 'bucardo.delta_public_pgbench_tellers'::regclass`,
        )
      ).rows;
    expect([await byCount(stock), await byCount(source)]).toEqual([[{ by_count: false }], [{ by_count: true }]]);
  });

  test('connections ask a silent server after 30 s', async () => {
    const asksAfter = async (name: string): Promise<string[] | null> => {
      const { rows } = await control.query(
        'SELECT dbservice AS service, dbconn AS more FROM bucardo.db WHERE name = $1',
        [name],
      );
      const { service, more } = rows[0] as { service: string | null; more: string | null };
      const services = readFileSync(bucardoServiceFile(rehearsal.lab.config.host.runDirectory), 'utf8').split('\n\n');
      const own = services.find((each) => each.startsWith(`[${service}]`)) ?? '';
      return `${own}\n${more}`.match(/keepalives_idle=\d+/g);
    };
    for (const role of ['source', 'target']) {
      expect([await asksAfter(`${STOCK}_${role}`), await asksAfter(`ibex_${role}`)]).toEqual([
        null,
        ['keepalives_idle=30'],
      ]);
    }
  });
});
