import { Client } from 'pg';
import { mendQueues } from '../../../assets/agent/capture/mend-queues';
import { readRelations, type Relation } from '../../../assets/agent/catalog/relations';
import { applyChanges } from '../../../assets/agent/catch-up/apply';
import { CatchUp } from '../../../assets/agent/catch-up/rounds';
import { DirtyKeys } from '../../../assets/agent/verify/dirty/dirty-keys';
import { until } from '../../helpers/until';
import { startMoving, type Moving } from '../catch-up/moving';

const TABLES = ['grown', 'spelt', 'hashed', 'rounded', 'renamed', 'bare', 'held', 'vacuumed', 'synced', 'applied'];

let moving: Moving;
/** A session of the application that has written every table before, as those of a pool have. */
let app: Client;
let owner: Client;
beforeAll(async () => {
  moving = await startMoving(
    TABLES.map(
      (name) => `CREATE TABLE public.${name} (id ${name === 'rounded' ? 'numeric(9, 1)' : 'int'} PRIMARY KEY, v text)`,
    ).join(';') + ';CREATE TABLE public.loose (id int NOT NULL UNIQUE, v text NOT NULL)',
    TABLES.map((name) => `INSERT INTO ${name} SELECT i, 'first' FROM generate_series(1, 3) i`).join(';'),
  );
  app = moving.source;
  owner = await moving.context.connect('source');
});
afterAll(() => moving.migration.stop());

async function alterSource(change: string): Promise<void> {
  const client = await moving.migration.admin('source');
  await client.query(change);
  await client.end();
}

const relations = (): Promise<Relation[]> => readRelations(owner, moving.migration.config);

const mend = async (): Promise<readonly string[]> => mendQueues(moving.context, owner, await relations());

/** Applies a table's changes, with its columns as they are now. Returns the rows of both ends. */
async function applied(name: string, dirty?: DirtyKeys): Promise<unknown[][]> {
  const relation = (await relations()).find((each) => each.name === name) as Relation;
  const pair = await moving.sessions();
  await applyChanges({ ...pair, ...(dirty && { dirty }) }, moving.lease, relation);
  await Promise.all([pair.source.end(), pair.target.end()]);
  const rows = async (client: Client): Promise<unknown[]> =>
    (await client.query(`SELECT to_jsonb(t) AS row FROM public.${name} t ORDER BY 1`)).rows;
  return [await rows(moving.source), await rows(moving.target)];
}

const marks = async (name: string): Promise<number> =>
  (await owner.query('SELECT FROM bucardo.ibex_truncated WHERE relation_name = $1', [name])).rowCount ?? 0;

const MD5 = 'USING md5(id::text)::uuid';

const CHANGES: [string, string, string, string, string, string][] = [
  [
    'int to bigint',
    'grown',
    'ALTER TABLE grown ALTER id TYPE bigint',
    `INSERT INTO grown VALUES (3000000000, 'new'); UPDATE grown SET id = 4000000000 WHERE id = 2; DELETE FROM grown WHERE id = 3`,
    'the key of "public"."grown" is not any more as it was captured ("id" was integer and is bigint): its queue was altered alike; make the target alike and start add',
    'keys',
  ],
  [
    'int to text',
    'spelt',
    'ALTER TABLE spelt ALTER id TYPE text',
    `INSERT INTO spelt VALUES ('a key', 'new'); UPDATE spelt SET id = 'two' WHERE id = '2'; DELETE FROM spelt WHERE id = '3'`,
    'the key of "public"."spelt" is not any more as it was captured ("id" was integer and is text): its queue was altered alike; make the target alike and start add',
    'keys',
  ],
  [
    'int to uuid, which no key noted so far can be cast to',
    'hashed',
    `ALTER TABLE hashed ALTER id TYPE uuid ${MD5}`,
    `INSERT INTO hashed VALUES (md5('new')::uuid, 'new'); DELETE FROM hashed WHERE id = md5('3')::uuid`,
    'its queue was made anew, and the table is copied anew by catch-up; make the target alike and start add (cannot cast type integer to uuid)',
    'a mark',
  ],
  [
    'numeric of another scale, which the queue has rounded without a word',
    'rounded',
    'ALTER TABLE rounded ALTER id TYPE numeric(9, 4)',
    `INSERT INTO rounded VALUES (1.2345, 'new')`,
    '("id" was numeric(9,1) and is numeric(9,4)): its queue was made anew, and the table is copied anew by catch-up',
    'a mark',
  ],
  [
    'another name',
    'renamed',
    'ALTER TABLE renamed RENAME id TO code',
    `INSERT INTO renamed VALUES (4, 'new'); DELETE FROM renamed WHERE code = 3`,
    '("id" was integer and is gone): its queue was made anew, and the table is copied anew by catch-up',
    'a mark',
  ],
];

describe.each(CHANGES)('a key that changes from %s', (_, name, change, writes, message, kept) => {
  it('is taken in: the application writes on, and no change is lost once the target is alike', async () => {
    await app.query(`UPDATE ${name} SET v = 'noted before' WHERE v = 'first' AND ctid = '(0,1)'`);
    await alterSource(change);
    if (name !== 'rounded') await expect(app.query(writes)).rejects.toThrow();
    else await app.query(`UPDATE rounded SET id = 1.0101 WHERE id = 1`);

    expect(await mend()).toEqual([expect.stringContaining(message)]);

    await app.query(writes);
    expect(await marks(name)).toBe(kept === 'keys' ? 0 : 1);
    expect(await mend()).toEqual([]);
    await moving.target.query(change);
    const [source, target] = await applied(name);
    expect(target).toEqual(source);
    expect(await moving.queued(name)).toBe(0);
    await app.query(`UPDATE ${name} SET v = 'last'`);
    expect(await moving.queued(name)).toBe(source?.length);
  });
});

describe('a table that has no key any more', () => {
  const change = 'ALTER TABLE bare DROP CONSTRAINT bare_pkey; ALTER TABLE bare RENAME id TO number';

  it('is marked by each transaction that writes it, and refuses nothing', async () => {
    await alterSource(change);
    await expect(app.query(`UPDATE bare SET v = 'refused'`)).rejects.toThrow();

    expect(await mend()).toEqual([
      expect.stringMatching(
        /^the key of "public"."bare" .* from now on each change has the whole table copied anew; give it a usable key, or run cleanup/,
      ),
    ]);

    await moving.target.query(change);
    expect((await applied('bare'))[1]).toHaveLength(3);
    await app.query(`BEGIN; UPDATE bare SET v = 'new'; SAVEPOINT s; DELETE FROM bare; ROLLBACK TO s; COMMIT`);
    await app.query(`INSERT INTO bare VALUES (4, 'new')`);
    expect(await marks('bare')).toBe(2);
    const [source, target] = await applied('bare');
    expect(target).toEqual(source);
    expect(await mend()).toEqual([]);
  });

  it('is copied anew, and to be compared again as a whole, also where it was compared before it lost its key', async () => {
    const bare = (await relations()).find(({ name }) => name === 'bare') as Relation;
    const dirty = await DirtyKeys.open(moving.context);
    const begun = (await dirty.begin(moving.source, [bare])).get(bare);
    await dirty.end(bare, begun!, 4);
    await app.query(`UPDATE bare SET v = 'newer'`);
    const [source, target] = await applied('bare', dirty);
    expect(target).toEqual(source);
    expect(await marks('bare')).toBe(0);
    expect(await dirty.standing([bare])).toMatchObject([{ verifiedAt: null, again: true }]);
    await dirty.forgetAll();
    await dirty.close();
  });

  it('is captured by its keys again once it has one', async () => {
    await alterSource('ALTER TABLE bare ADD PRIMARY KEY (number)');
    expect(await mend()).toEqual([expect.stringContaining('its queue was made anew')]);
    await applied('bare');
    await app.query('DELETE FROM bare WHERE number = 4');
    expect([await marks('bare'), await moving.queued('bare')]).toEqual([0, 1]);
    const [source, target] = await applied('bare');
    expect(target).toEqual(source);
  });
});

describe('a table without a primary key', () => {
  it('that is given another unique index has the key of that, as Bucardo does, and its queue follows', async () => {
    await app.query(`INSERT INTO loose VALUES (1, 'one'), (2, 'two')`);
    expect((await applied('loose'))[1]).toHaveLength(2);
    await app.query(`UPDATE loose SET v = 'noted before' WHERE id = 1`);
    for (const change of ['CREATE UNIQUE INDEX loose_v ON loose (v)', 'DROP INDEX loose_v']) {
      await alterSource(change);

      expect(await mend()).toEqual([
        expect.stringMatching(
          /^the key of "public"."loose" .* \(it is another\): its queue was made anew, and the table/,
        ),
      ]);

      expect(await mend()).toEqual([]);
      await app.query(`UPDATE loose SET v = 'after ${change}' WHERE id = 2`);
      const [source, target] = await applied('loose');
      expect(target).toEqual(source);
      await app.query(`DELETE FROM loose WHERE id = 2; INSERT INTO loose VALUES (2, 'again')`);
      const [later, there] = await applied('loose');
      expect(there).toEqual(later);
      expect(await moving.queued('loose')).toBe(0);
    }
  });
});

it('a queue that is busy keeps nobody waiting for longer than the lock time-out, and is mended at a later look', async () => {
  const holder = await moving.migration.admin('source');
  await holder.query('BEGIN; SELECT FROM bucardo.delta_public_held');
  await alterSource('ALTER TABLE held ALTER id TYPE bigint');
  const writer = await moving.migration.admin('source');

  const begun = performance.now();
  const [told] = await Promise.all([mend(), writer.query(`UPDATE held SET v = 'new'`)]);
  expect(performance.now() - begun).toBeLessThan(moving.migration.config.capture.lockTimeoutMs + 1_000);
  expect(told).toEqual([
    expect.stringContaining('its queue is busy, so that writes of the table may fail; it is tried again'),
  ]);

  await holder.query('COMMIT');
  expect(await mend()).toEqual([expect.stringContaining('its queue was altered alike')]);
  await app.query(`INSERT INTO held VALUES (3000000000, 'new')`);
  expect(await moving.queued('held')).toBe(4);
});

describe('a queue that is held for longer is mended at the first look all the same', () => {
  const alter = (name: string): Promise<void> => alterSource(`ALTER TABLE ${name} ALTER id TYPE bigint`);
  const ALIKE = [expect.stringContaining('its queue was altered alike')];

  it('by an autovacuum, which the server sends away after a second', async () => {
    await alter('vacuumed');
    const vacuum = await moving.migration.admin('source');
    await vacuum.query('BEGIN; LOCK TABLE bucardo.delta_public_vacuumed IN SHARE UPDATE EXCLUSIVE MODE');
    const mended = mend();
    const waits = `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND clock_timestamp() > query_start + interval '1s'`;
    await until(async () => (await app.query(waits)).rowCount === 1, { seconds: 5 }).finally(() => vacuum.end());
    expect(await mended).toEqual(ALIKE);
  });

  it('by a run of Bucardo, which begins anew, unless that would be in vain', async () => {
    await alter('synced');
    const { host, port, database, user, password } = await moving.context.endpoint('source');
    const named = { application_name: 'bucardo KID (ibex) (PID 11)' };
    const kid = new Client({ host, port, database, user, password, ...named });
    kid.on('error', () => undefined);
    await kid.connect();
    await kid.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM bucardo.delta_public_synced');
    const other = await moving.migration.admin('source');
    await other.query('BEGIN; SELECT FROM bucardo.delta_public_synced');
    expect(await mend()).toEqual([expect.stringContaining('its queue is busy')]);
    await kid.query('SELECT');
    await other.end();
    expect(await mend()).toEqual(ALIKE);
    await expect(kid.query('COMMIT')).rejects.toThrow();
  });

  it('by catch-up, which is given back and applied afterwards', async () => {
    await app.query(`UPDATE applied SET v = repeat('x', 20000000)`);
    await alter('applied');
    // The rows wait at the target, and behind them the session on the source.
    await moving.target.query(`
      ALTER TABLE applied ALTER id TYPE bigint;
      CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN new; END';
      CREATE TRIGGER wait BEFORE INSERT ON applied FOR EACH ROW EXECUTE FUNCTION wait();
      ALTER TABLE applied ENABLE ALWAYS TRIGGER wait;
      SELECT pg_advisory_lock(7)`);
    const relation = (await relations()).find(({ name }) => name === 'applied') as Relation;
    const catchUp = new CatchUp(moving.context, [relation], moving.lease);
    const work = catchUp.apply([relation]);
    const stands = `SELECT FROM pg_stat_activity WHERE application_name = 'ibex catch-up' AND wait_event = 'ClientWrite'`;
    await until(async () => (await app.query(stands)).rowCount === 1, { seconds: 20 });
    const mended = await mend();
    await moving.target.query('SELECT pg_advisory_unlock(7)');
    expect(await work).toBe(3);
    await catchUp.close();
    expect(mended).toEqual(ALIKE);
    expect(await moving.queued('applied')).toBe(0);
    const lengths = await moving.target.query('SELECT id, length(v) AS length FROM applied ORDER BY 1');
    expect(lengths.rows).toEqual([1, 2, 3].map((id) => ({ id: `${id}`, length: 20_000_000 })));
  });
});
