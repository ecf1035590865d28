import { capture } from '../../../assets/agent/capture';
import { defineNew } from '../../../assets/agent/schema/define-new';
import { buildConstraints, missingConstraints } from '../../../assets/agent/constraints';
import { fenceGaps } from '../../../assets/agent/fence/target';
import { CONSTRAINTS_FACT, constraintsStand } from '../../../assets/agent/sync';
import { CopyTest } from '../../helpers/copy-test';

const FILL = `
  CREATE TABLE customer (id int PRIMARY KEY, code text);
  CREATE TABLE "order" (id int PRIMARY KEY, "at on" int);
  CREATE INDEX order_at ON "order" ("at on");
  CREATE UNIQUE INDEX customer_code ON customer (code);
  CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
  CREATE TRIGGER "touch on" BEFORE INSERT ON "order" FOR EACH ROW EXECUTE PROCEDURE touch();
  CREATE VIEW recent AS SELECT id FROM "order" WHERE id > 5;
  CREATE TABLE parted (id int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
  CREATE INDEX parted_id ON parted (id);
  CREATE TABLE loose (id int PRIMARY KEY);
  INSERT INTO customer SELECT i, 'code ' || i FROM generate_series(1, 20) i;
  INSERT INTO "order" SELECT i, i FROM generate_series(1, 20) i;
  INSERT INTO loose SELECT i FROM generate_series(0, 9) i;
  ANALYZE;`;

let copy: CopyTest;
beforeAll(async () => {
  copy = await CopyTest.start();
});
afterAll(() => copy.migration.stop());
beforeEach(async () => {
  await copy.prepare(FILL);
  await copy.run();
  await build();
});

const build = (): Promise<number> =>
  copy.within('sync', async (context) => {
    const target = await context.connect('target');
    await buildConstraints(context, target);
    return missingConstraints(context, target);
  });

const define = (): Promise<number> =>
  copy.within('add', async (context) =>
    defineNew(context, { source: await context.connect('source'), target: await context.connect('target') }),
  );

/** What `add` does up to the hand-over, but for capture. Returns how many objects are missing then. */
async function takeIn(): Promise<number> {
  await define();
  await copy.run();
  return build();
}

/** The same with capture, for tables that are new. */
async function takeInCaptured(): Promise<number> {
  await define();
  await copy.within('capture', (context) => capture.run(context));
  await copy.run();
  return build();
}

/** As an operator makes the target alike. */
async function onBothEnds(statements: string): Promise<void> {
  await copy.source.query(statements);
  await onTarget(statements);
}

async function onTarget(statements: string): Promise<void> {
  const { name } = await copy.one<{ name: string }>('target', 'SELECT quote_ident(current_database()) AS name');
  await copy.target.query(`GRANT CREATE ON DATABASE ${name} TO mover; GRANT CREATE ON SCHEMA public TO mover`);
  await copy.target.query(`SET ROLE mover; ${statements}; RESET ROLE`);
}

const INDEXES = `
  SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('i', 'I') ORDER BY 1`;
const CONSTRAINTS = `
  SELECT conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype IN ('p', 'u', 'f') ORDER BY 1`;
const ATTACHED = `
  SELECT inhrelid::regclass::text AS child, inhparent::regclass::text AS parent FROM pg_inherits ORDER BY 1, 2`;

async function expectAlike(): Promise<void> {
  for (const query of [INDEXES, CONSTRAINTS, ATTACHED]) {
    expect((await copy.target.query(query)).rows).toEqual((await copy.source.query(query)).rows);
  }
}

it('what was altered on both ends by hand, with its index, constraints, trigger and policy, is not made twice', async () => {
  await onBothEnds(`
    ALTER TABLE "order" ADD customer int REFERENCES customer, ADD n int UNIQUE;
    CREATE INDEX order_customer ON "order" (customer);
    CREATE STATISTICS order_both ON id, n FROM "order";
    CREATE TRIGGER again AFTER UPDATE ON "order" FOR EACH ROW EXECUTE PROCEDURE touch();
    CREATE RULE nothing AS ON DELETE TO recent DO INSTEAD NOTHING;
    CREATE POLICY all_rows ON customer USING (true);
    CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql AS 'SELECT 2 * n';
    CREATE VIEW old AS SELECT twice(id) FROM recent`);
  expect(await takeIn()).toBe(0);
  await expectAlike();
});

it('a new schema, table and partition that are on the target already are taken as they are', async () => {
  await onBothEnds(`
    CREATE SCHEMA later;
    CREATE TYPE later.kind AS ENUM ('a', 'b');
    CREATE TABLE later.item (id serial PRIMARY KEY, kind later.kind DEFAULT 'a');
    CREATE TABLE leaf PARTITION OF parted FOR VALUES FROM (10) TO (20);
    ALTER TABLE parted ATTACH PARTITION loose FOR VALUES FROM (0) TO (10)`);
  expect(await takeInCaptured()).toBe(0);
  await expectAlike();
});

it('what was dropped and made anew under its name on the source alone counts as made', async () => {
  await copy.source.query(`
    DROP INDEX order_at; CREATE INDEX order_at ON "order" ("at on");
    DROP INDEX customer_code; CREATE UNIQUE INDEX customer_code ON customer (code);
    DROP TRIGGER "touch on" ON "order";
    CREATE TRIGGER "touch on" BEFORE INSERT ON "order" FOR EACH ROW EXECUTE PROCEDURE touch();
    DROP VIEW recent; CREATE VIEW recent AS SELECT id FROM "order" WHERE id > 5`);
  expect(await takeIn()).toBe(0);
  await expectAlike();
});

it('a table that was attached on the source alone is attached on the target', async () => {
  await copy.source.query('ALTER TABLE parted ATTACH PARTITION loose FOR VALUES FROM (0) TO (10)');
  expect(await takeIn()).toBe(0);
  expect(await copy.count('parted')).toBe(10);
});

it('a partition that is new on the source alone is made with the indexes that its table gives it, and no index twice', async () => {
  await copy.source.query(`
    CREATE TABLE leaf PARTITION OF parted FOR VALUES FROM (10) TO (20);
    INSERT INTO parted SELECT generate_series(10, 19)`);
  expect(await takeInCaptured()).toBe(0);
  await expectAlike();
  expect(await copy.count('leaf')).toBe(10);
});

it('a new partition keeps the key and index that were made for it before it was attached, whatever their names', async () => {
  await copy.source.query(`
    CREATE TABLE leaf (id int CONSTRAINT own_key PRIMARY KEY);
    CREATE INDEX own_index ON leaf (id) WITH (fillfactor = 70);
    ALTER TABLE parted ATTACH PARTITION leaf FOR VALUES FROM (10) TO (20);
    INSERT INTO parted SELECT generate_series(10, 19)`);
  expect(await takeInCaptured()).toBe(0);
  await expectAlike();
  expect(await copy.count('leaf')).toBe(10);
  const { indexdef } = await copy.one<{ indexdef: string }>(
    'target',
    `SELECT indexdef FROM pg_indexes WHERE indexname = 'own_index'`,
  );
  expect(indexdef).toContain('fillfactor');
});

it('and so does one that has partitions of its own', async () => {
  await copy.source.query(`
    CREATE TABLE tree (id int CONSTRAINT own_key PRIMARY KEY) PARTITION BY RANGE (id);
    CREATE INDEX own_index ON tree (id);
    CREATE TABLE tree_leaf PARTITION OF tree FOR VALUES FROM (10) TO (20);
    ALTER INDEX tree_leaf_id_idx RENAME TO leaf_index;
    ALTER TABLE parted ATTACH PARTITION tree FOR VALUES FROM (10) TO (20);
    INSERT INTO parted SELECT generate_series(10, 19)`);
  expect(await takeInCaptured()).toBe(0);
  await expectAlike();
  expect(await copy.count('tree')).toBe(10);
});

it('and so does one over a table that is there already, whose own key and index it takes in first', async () => {
  await onBothEnds('CREATE INDEX loose_index ON loose (id)');
  await copy.source.query(`
    CREATE TABLE tree (id int NOT NULL) PARTITION BY RANGE (id);
    ALTER TABLE tree ATTACH PARTITION loose FOR VALUES FROM (0) TO (10);
    ALTER TABLE parted ATTACH PARTITION tree FOR VALUES FROM (0) TO (20)`);
  expect(await takeInCaptured()).toBe(0);
  await expectAlike();
  expect(await copy.count('tree')).toBe(10);
});

it('indexes of a new partition that are alike but for their order hang below the same ones as on the source', async () => {
  await copy.source.query('CREATE INDEX parted_down ON parted (id DESC)');
  await onTarget(`
    DROP INDEX parted_id; CREATE INDEX parted_down ON parted (id DESC); CREATE INDEX parted_id ON parted (id)`);
  await copy.source.query('CREATE TABLE leaf PARTITION OF parted FOR VALUES FROM (10) TO (20)');
  expect(await takeInCaptured()).toBe(0);
  await expectAlike();
});

it('an index that was renamed on the source alone is not made twice, and takes in that of a new partition', async () => {
  await copy.source.query(`
    ALTER INDEX parted_id RENAME TO renamed;
    CREATE TABLE leaf PARTITION OF parted FOR VALUES FROM (10) TO (20);
    ALTER INDEX leaf_id_idx RENAME TO leaf_index`);
  await define();
  await copy.target.query('ALTER INDEX parted_id RENAME TO renamed');
  expect(await takeInCaptured()).toBe(0);
  await expectAlike();
});

it('a table of which an operator has made the owner another is not taken for the same', async () => {
  await copy.source.query('CREATE TABLE owned (id int PRIMARY KEY)');
  await copy.target.query('CREATE TABLE owned (id int PRIMARY KEY); ALTER TABLE owned OWNER TO master');
  await expect(define()).rejects.toThrow(
    /^the target has already, but otherwise: table public.owned is owned by mover on the source, by master on the target; drop it there, or make both alike/,
  );
});

it('an object that the target has otherwise is refused by name before anything is made, until both are alike', async () => {
  await copy.source.query(`
    DROP INDEX order_at; CREATE INDEX order_at ON "order" (id, "at on"); CREATE VIEW fresh AS SELECT 1 AS one`);
  await expect(define()).rejects.toThrow(
    /^the target has already, but otherwise: index public.order_at differs: .* on the target; drop it there, or make both alike, then start add again$/,
  );
  expect((await copy.target.query(`SELECT to_regclass('public.fresh') AS fresh`)).rows).toEqual([{ fresh: null }]);
  await copy.target.query('DROP INDEX order_at');
  expect(await takeIn()).toBe(0);
  await expectAlike();
});

it('a foreign key that a run which was killed has not validated yet is validated, and not taken for one made by hand', async () => {
  await copy.source.query('ALTER TABLE "order" ADD customer int CONSTRAINT ordered REFERENCES customer');
  await copy.target.query('ALTER TABLE "order" ADD customer int');
  await define();
  const { oid } = await copy.one<{ oid: string }>('source', `SELECT oid FROM pg_constraint WHERE conname = 'ordered'`);
  await copy.target.query(`
    ALTER TABLE "order" ADD CONSTRAINT ordered FOREIGN KEY (customer) REFERENCES customer NOT VALID;
    INSERT INTO ibex.restored (entry) VALUES ('not valid: 2606 ${oid} FK CONSTRAINT public order ordered mover')`);
  await define();
  expect((await copy.target.query(`SELECT FROM ibex.restored WHERE entry LIKE '2606 ${oid} %'`)).rowCount).toBe(0);
});

it('a target that lets writes through is closed by add, as ready advises', async () => {
  await copy.target.query('ALTER TABLE customer DISABLE TRIGGER ibex_fence; DROP TRIGGER ibex_fence ON loose');
  expect(await fenceGaps(copy.target)).toHaveLength(2);
  await define();
  expect(await fenceGaps(copy.target)).toEqual([]);
});

it('what the target lacks of the schema is made by sync, as ready advises, whatever the host remembers', async () => {
  const stand = (): Promise<boolean> =>
    copy.within('sync', async (context) => constraintsStand(context, await context.connect('target')));
  await copy.within('sync', (context) => context.state.setFact(CONSTRAINTS_FACT, true));
  expect(await stand()).toBe(true);
  await copy.target.query(`DROP INDEX order_at; DELETE FROM ibex.restored WHERE entry LIKE '%order_at%'`);
  expect(await stand()).toBe(false);
  expect(await build()).toBe(0);
  await expectAlike();
});
