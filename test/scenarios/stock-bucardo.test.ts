import type { Client } from 'pg';
import { purgeApplied } from '../../assets/agent/bucardo/queues';
import { readRelations, type Relation } from '../../assets/agent/catalog/relations';
import { CatchUp } from '../../assets/agent/catch-up/rounds';
import { Lease, prepareLeases } from '../../assets/agent/lease';
import type { Bucardo } from '../../lib/bench/bucardo';
import { BesideStock, type Side } from '../helpers/beside-stock';
import { until } from '../helpers/until';

const SIDES = ['stock', 'ours'] as const;

let both: BesideStock;
beforeAll(async () => {
  both = await BesideStock.start();
});
afterAll(() => both?.stop());

const countOf = async (client: Client, rows: string): Promise<number> =>
  (await client.query(`SELECT FROM ${rows}`)).rowCount ?? 0;

/** What a query yields on the source of stock Bucardo, and on ours. */
async function yields(query: string): Promise<Record<Side, unknown[]>> {
  const rowsOf = async (side: Side): Promise<unknown[]> => (await both.source[side].query(query)).rows as unknown[];
  return { stock: await rowsOf('stock'), ours: await rowsOf('ours') };
}

describe('a role that may write a table, and has operators of its own', () => {
  /**
   * Stock trigger functions run with the rights of a superuser, find operators by the writer's search path, and compare
   * keys by a bare `<>`.
   */
  const LAIR = `
    CREATE SCHEMA lair AUTHORIZATION mallory; GRANT ALL ON note TO mallory;
    SET ROLE mallory;
    CREATE FUNCTION lair.differs(int, int) RETURNS boolean LANGUAGE plpgsql AS $f$
    BEGIN
      IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN ALTER ROLE mallory SUPERUSER; END IF;
      RETURN int4ne($1, $2);
    END $f$;
    CREATE FUNCTION lair.equals(int, int) RETURNS boolean LANGUAGE sql AS 'SELECT NOT lair.differs($1, $2)';
    CREATE OPERATOR lair.<> (LEFTARG = int, RIGHTARG = int, PROCEDURE = lair.differs);
    CREATE OPERATOR lair.= (LEFTARG = int, RIGHTARG = int, PROCEDURE = lair.equals);
    RESET ROLE`;

  beforeAll(async () => {
    await both.source.stock.query('CREATE ROLE mallory LOGIN');
    for (const side of SIDES) await both.source[side].query(LAIR);
  });

  /** Whether the role has become superuser by this statement; afterwards nothing of it is left. */
  async function succeeds(side: Side, statement: string): Promise<boolean> {
    const source = both.source[side];
    await source.query('BEGIN; SET LOCAL ROLE mallory; SET LOCAL search_path = lair, pg_catalog, pg_temp');
    try {
      await source.query(statement);
      const { rows } = await source.query(`SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = 'mallory'`);
      return (rows[0] as { rolsuper: boolean }).rolsuper;
    } finally {
      await source.query('ROLLBACK');
    }
  }

  it('becomes superuser through the trigger that stock Bucardo has made', async () => {
    expect(await succeeds('stock', 'UPDATE public.note SET id = int4pl(id, 1)')).toBe(true);
  });

  it.each([
    'UPDATE public.note SET id = int4pl(id, 1)',
    'INSERT INTO public.note VALUES (100)',
    'DELETE FROM public.note',
    'TRUNCATE public.note',
  ])('gains nothing through ours by %s', async (statement) => {
    expect(await succeeds('ours', statement)).toBe(false);
  });

  it("finds no function with its owner's rights that looks for names elsewhere than in pg_catalog", async () => {
    const { stock, ours } = await yields(`
      SELECT p.proname AS name, array_to_string(p.proconfig, ' ') AS settings FROM pg_proc p
      WHERE p.pronamespace = 'bucardo'::regnamespace AND p.prosecdef AND p.proname ~ '_public_(child|note)$' ORDER BY 1`);
    expect(stock).toEqual(['delta_public_child', 'delta_public_note'].map((name) => ({ name, settings: null })));
    const settings = 'search_path=pg_catalog, pg_temp';
    expect(ours).toEqual(
      ['delta_public_child', 'delta_public_note', 'trunc_public_child', 'trunc_public_note'].map((name) => ({
        name,
        settings,
      })),
    );
  });
});

describe('a transaction', () => {
  /** What the server says to PREPARE TRANSACTION, which it refuses to one that has executed NOTIFY. */
  async function prepare(side: Side, statement: string): Promise<string> {
    const source = both.source[side];
    await source.query(`BEGIN; ${statement}`);
    try {
      await source.query(`PREPARE TRANSACTION 'written'`);
    } catch (error) {
      await source.query('ROLLBACK');
      return (error as Error).message;
    }
    await source.query(`ROLLBACK PREPARED 'written'`);
    return 'prepared';
  }

  // NOTIFY makes commits wait for each other.
  it.each(['INSERT INTO note VALUES (9)', 'UPDATE note SET id = 9', 'DELETE FROM note', 'TRUNCATE note'])(
    'notifies nobody of %s, as it does with stock Bucardo',
    async (statement) => {
      expect(await prepare('stock', statement)).toBe(
        'cannot PREPARE a transaction that has executed LISTEN, UNLISTEN, or NOTIFY',
      );
      expect(await prepare('ours', statement)).toBe('prepared');
    },
  );
});

describe('what our capture does otherwise than stock Bucardo 5.6.0', () => {
  it('a change has the time at which it was noted, not that at which its transaction began', async () => {
    const noted: boolean[] = [];
    for (const side of SIDES) {
      const source = both.source[side];
      await source.query('BEGIN');
      await source.query('INSERT INTO note VALUES (200)');
      const { rows } = await source.query(
        `SELECT coalesce((to_jsonb(d) ->> 'captured_at')::timestamptz > now(), false) AS later
         FROM bucardo.delta_public_note d WHERE id = 200`,
      );
      await source.query('ROLLBACK');
      noted.push((rows[0] as { later: boolean }).later);
    }
    expect(noted).toEqual([false, true]);
  });

  it('TRUNCATE leaves the queue as it is, so that it waits for no run, and a marker says what is to be copied', async () => {
    const queued = (client: Client): Promise<number> => countOf(client, 'bucardo.delta_public_note');
    for (const side of SIDES) {
      const [client, kept] = [both.source[side], side === 'ours'];
      await client.query('BEGIN; INSERT INTO note VALUES (300)');
      const before = await queued(client);
      expect(before).toBeGreaterThan(0);
      await client.query('TRUNCATE note');
      const locks = await countOf(
        client,
        `pg_locks WHERE pid = pg_backend_pid() AND mode = 'AccessExclusiveLock'
           AND relation = 'bucardo.delta_public_note'::regclass`,
      );
      expect([locks === 0, (await queued(client)) === before]).toEqual([kept, kept]);
      if (kept) expect(await countOf(client, `bucardo.ibex_truncated WHERE relation_name = 'note'`)).toBe(1);
      await client.query('ROLLBACK');
    }
  });

  it('a change that is noted twice for another group, and never for ours, is not forgotten', async () => {
    const change = `
      DELETE FROM bucardo.delta_public_note; DELETE FROM bucardo.track_public_note;
      INSERT INTO note VALUES (400);
      INSERT INTO bucardo.track_public_note
        SELECT txntime, 'dbgroup other' FROM bucardo.delta_public_note, generate_series(1, 2)`;
    const left = { stock: Number.NaN, ours: Number.NaN };
    for (const side of SIDES) {
      const source = both.source[side];
      await source.query(change);
      if (side === 'stock') {
        await source.query(
          `DELETE FROM bucardo.bucardo_delta_targets;
           INSERT INTO bucardo.bucardo_delta_targets (tablename, target)
           SELECT 'note'::regclass, 'dbgroup ' || name FROM unnest(ARRAY['bench', 'other']) AS s (name)`,
        );
        await source.query(`SELECT bucardo.bucardo_purge_delta('0 seconds')`);
      } else await purgeApplied(source, { schema: 'public', name: 'note' } as Relation);
      left[side] = await countOf(source, 'bucardo.delta_public_note');
      await source.query('DELETE FROM note WHERE id = 400');
    }
    expect(left).toEqual({ stock: 0, ours: 1 });
  });

  it('queues have the indexes that Bucardo would make, and are vacuumed by count', async () => {
    const indexes = await yields(`
      SELECT tablename, indexdef FROM pg_indexes
      WHERE schemaname = 'bucardo' AND tablename ~ '^(delta|track|stage)_public_note$' ORDER BY indexdef`);
    expect(indexes.ours).toHaveLength(3);
    expect(indexes.ours).toEqual(indexes.stock);
    const byCount = await yields(`
      SELECT 'autovacuum_vacuum_scale_factor=0' = ANY (coalesce(reloptions, '{}')) AS by_count FROM pg_class
      WHERE oid = 'bucardo.delta_public_note'::regclass`);
    expect(byCount).toEqual({ stock: [{ by_count: false }], ours: [{ by_count: true }] });
  });
});

/** Waits until Bucardo has applied all that it knows of by now. All tables are of one transaction on the target. */
async function drained(side: Side): Promise<void> {
  const { rows } = await both.source[side].query('UPDATE item SET n = n + 1 WHERE id = 3 RETURNING n');
  const { n } = rows[0] as { n: number };
  const arrived = `item WHERE id = 3 AND n = ${n}`;
  await until(async () => (await countOf(both.target[side], arrived)) === 1);
  // Bucardo commits what it notes on the source after what it has applied on the target.
  const due = `(SELECT DISTINCT sync FROM bucardo.bucardo_delta_names) AS s,
    bucardo.bucardo_delta_check(s.sync, 'dbgroup ' || s.sync) AS answer WHERE answer LIKE '1,%'`;
  await until(async () => (await countOf(both.source[side], due)) === 0);
}

/**
 * Changes items 1 and 2 by one transaction each. Both begin at one instant, as all statements of one message do, and so
 * have one now(); the second commits when the first is applied. Returns which of both changes have arrived on the target
 * when Bucardo has nothing left to do.
 */
async function arrivedOfTwo(side: Side): Promise<unknown[]> {
  const [gate, writer] = [await both.session(side), await both.session(side)];
  try {
    await gate.query('SELECT pg_advisory_lock(1)');
    const written = writer.query(`
      BEGIN; UPDATE item SET n = n + 1, at = now() WHERE id = 1; COMMIT;
      BEGIN; UPDATE item SET n = n + 1, at = now() WHERE id = 2; SELECT pg_advisory_xact_lock(1); COMMIT`);
    await until(async () => (await countOf(both.target[side], 'item WHERE id = 1 AND at IS NOT NULL')) === 1);
    await gate.query('SELECT pg_advisory_unlock(1)');
    await written;
  } finally {
    await Promise.allSettled([gate.end(), writer.end()]);
  }
  const { rows } = await both.source[side].query('SELECT count(DISTINCT at)::int AS instants FROM item WHERE id < 3');
  expect(rows).toEqual([{ instants: 1 }]);
  await drained(side);
  return (await both.target[side].query('SELECT id FROM item WHERE id < 3 AND n = 1 ORDER BY 1')).rows;
}

describe('stock Bucardo, which tells of no error and has nothing left to do,', () => {
  let bucardo: Bucardo;
  beforeAll(async () => {
    bucardo = await both.bucardo('stock');
    // Before it runs: a stock trigger truncates queues that a run reads, so that each may wait for the other.
    await both.source.stock.query('TRUNCATE parent CASCADE');
    await bucardo.start();
  });
  afterAll(() => bucardo.stop());

  it('loses the second of two transactions of one now() that commits after the first was applied', async () => {
    expect(await arrivedOfTwo('stock')).toEqual([{ id: 1 }]);
    expect(await both.badRuns()).toBe(0);
  });

  it('loses a TRUNCATE of a table that a foreign key points to', async () => {
    await drained('stock');
    expect(await countOf(both.source.stock, 'parent')).toBe(0);
    expect(await countOf(both.target.stock, 'parent')).toBe(2);
    expect(await countOf(both.source.stock, 'bucardo.bucardo_truncate_trigger WHERE replicated IS NULL')).toBe(0);
    expect(await both.badRuns()).toBe(0);
  });
});

describe('our capture', () => {
  it('loses neither of the two transactions, with the same Bucardo', async () => {
    const bucardo = await both.bucardo('ours');
    try {
      await bucardo.start();
      expect(await arrivedOfTwo('ours')).toEqual([{ id: 1 }, { id: 2 }]);
    } finally {
      await bucardo.stop();
    }
  });

  it('has the TRUNCATE applied to both tables', async () => {
    await both.source.ours.query('TRUNCATE parent CASCADE');
    await both.within(async (context) => {
      const [source, target] = [await context.connect('source'), await context.connect('target')];
      const truncated = (await readRelations(source, context.config)).filter(({ name }) => /parent|child/.test(name));
      await prepareLeases(target, truncated);
      const catchUp = new CatchUp(context, truncated, await Lease.take(target, 'catch-up'));
      await catchUp.until(source, 1);
      await catchUp.close();
    });
    for (const table of ['parent', 'child'])
      expect([table, await countOf(both.target.ours, table)]).toEqual([table, 0]);
  });
});
