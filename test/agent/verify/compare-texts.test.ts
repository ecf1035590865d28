import type { CatalogObject } from '../../../assets/agent/verify/catalog-objects';
import { judge } from '../../../assets/agent/verify/compare-catalogs';
import { speaksOf, startCatalogs, type Catalogs } from './catalogs';
import type { Ends } from './ends';

let catalogs: Catalogs;
let ends: Ends;
beforeAll(async () => {
  catalogs = await startCatalogs();
  ({ ends } = catalogs);
});
afterAll(() => ends.stop());

describe('of one major, where another text is another expression', () => {
  const one: CatalogObject = {
    kind: 'default of column',
    name: 'app.rich.at',
    definition: 'given',
    text: 'now()',
    owner: null,
    valid: true,
    state: null,
    role: null,
    reads: null,
  };
  const judged = (here: string, there: string, sameMajor: boolean): [number, number] => {
    const { failures, warnings } = judge([{ ...one, text: here }], [{ ...one, text: there }], new Set(), sameMajor);
    return [failures.length, warnings.length];
  };
  const IN = `((s)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[]))`;
  const REREAD = `((s)::text = ANY (ARRAY[('a'::character varying)::text, ('b'::character varying)::text]))`;

  it.each([
    ['now()', 'clock_timestamp()', true, [1, 0]],
    ['now()', 'clock_timestamp()', false, [0, 1]],
    ['now()', 'now()', true, [0, 0]],
    [IN, REREAD, true, [0, 1]],
    [IN, REREAD.replace(`'b'`, `'c'`), true, [1, 0]],
  ])('%s and %s (%s)', (here, there, sameMajor, found) => {
    expect(judged(here, there, sameMajor)).toEqual(found);
  });
});

const rich = (checks: string): string => `ALTER TABLE app.rich ${checks}`;
const view = (query: string): string => `CREATE OR REPLACE VIEW app.customers AS ${query}`;
const total = (query: string): string =>
  `DROP MATERIALIZED VIEW app.totals; CREATE MATERIALIZED VIEW app.totals AS ${query}`;
const rising = (condition: string): string =>
  `DROP TRIGGER rising ON app.rich; CREATE TRIGGER rising BEFORE UPDATE ON app.rich FOR EACH ROW WHEN (${condition}) EXECUTE FUNCTION app.touch()`;

describe('across majors, where the target reads both texts again,', () => {
  it.each([
    [
      'ALTER TABLE app.rich ALTER ratio SET DEFAULT 0.5 * 3',
      'default of column app.rich.ratio differs: (0.5 * (2)::numeric) on the source, (0.5 * (3)::numeric) on the target',
    ],
    [
      `ALTER DOMAIN app.short SET DEFAULT 'some'`,
      `type app.short differs: 'none'::character varying on the source, 'some'::character varying on the target`,
    ],
    [
      'ALTER POLICY own ON app.customer USING (id > 1)',
      'policy own of app.customer differs: (id > 0) on the source, (id > 1) on the target',
    ],
    [
      `ALTER TABLE app.customer DROP CONSTRAINT customer_age_check, ADD CONSTRAINT customer_age_check CHECK (age > 1)`,
      'constraint customer_age_check of app.customer differs: (age > 0) on the source, (age > 1) on the target',
    ],
    [
      'DROP INDEX app.order_note; CREATE INDEX order_note ON app."Order" (upper(note)) WHERE note IS NOT NULL',
      expect.stringMatching(/^index app.order_note differs: lower.* on the source, upper/),
    ],
    [
      'CREATE OR REPLACE RULE quiet AS ON DELETE TO app.customer WHERE OLD.age < 1 DO INSTEAD NOTHING',
      expect.stringMatching(/^rule quiet of app.customer differs: .*< 0.*< 1/s),
    ],
    [
      `CREATE OR REPLACE FUNCTION app.add(a int, b int DEFAULT 2) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a + b'`,
      'function app.add(a integer, b integer) differs: 1 on the source, 2 on the target',
    ],
    [
      `ALTER DOMAIN app.short DROP CONSTRAINT short_check; ALTER DOMAIN app.short ADD CONSTRAINT short_check CHECK (VALUE <> 'x')`,
      expect.stringMatching(/^constraint short_check of app.short differs: .*''.* on the source, .*'x'/),
    ],
    [
      view('SELECT c.id, lower(c.email) AS email FROM app.customer c'),
      expect.stringMatching(/^view app.customers differs: .*upper.* on the source, .*lower/s),
    ],
    [
      view('SELECT c.id, upper(c.email) AS email FROM app.customer c WHERE c.id > 0'),
      expect.stringContaining('view app.customers differs'),
    ],
    [total('SELECT count(age) FROM app.customer'), expect.stringContaining('materialized view app.totals differs')],
    [rising('NEW.ratio < OLD.ratio'), expect.stringContaining('trigger rising of app.rich differs')],
  ])('another one blocks: %s', async (change, failure) => {
    const { failures } = await catalogs.after(change);
    expect(failures.filter((one) => speaksOf(one, ''))).toEqual([failure]);
  });

  it.each([
    [view('(SELECT c.id, pg_catalog.upper(c.email) AS email FROM app.customer AS c)')],
    [rising('(NEW.ratio > OLD.ratio)')],
    [
      rich(`DROP CONSTRAINT rich_status_check,
        ADD CONSTRAINT rich_status_check CHECK ((status)::text = ANY (ARRAY['new'::varchar::text, 'done'::varchar::text]))`),
    ],
  ])('the same one in other words is no difference: %s', async (change) => {
    const usual = (await catalogs.compare()).warnings;
    const { failures, warnings } = await catalogs.after(change);
    expect({ failures, warnings }).toEqual({ failures: [], warnings: usual });
  });

  it('a view whose text it cannot read blocks, and an expression warns, each with the cause', async () => {
    await ends.target.query(
      'CREATE ROLE strict; GRANT USAGE ON SCHEMA app TO strict; REVOKE TEMP ON DATABASE postgres FROM PUBLIC',
    );
    try {
      const { failures, warnings } = await catalogs.after(`
        ALTER POLICY own ON app.customer USING (id > 1); SET LOCAL ROLE strict`);
      const cause =
        /; the target cannot read both again: permission denied to create temporary tables in database "postgres"$/;
      expect(failures).toContainEqual(expect.stringMatching(/^view app.customers differs: /));
      for (const failure of failures) expect(failure).toMatch(cause);
      expect(warnings).toContainEqual(expect.stringMatching(cause));
    } finally {
      await ends.target.query('GRANT TEMP ON DATABASE postgres TO PUBLIC; DROP OWNED BY strict; DROP ROLE strict');
    }
  });

  it('leaves nothing behind', async () => {
    await catalogs.compare();
    const { rows } = await ends.target.query(
      `SELECT relname FROM pg_class WHERE relpersistence = 't' UNION SELECT proname FROM pg_proc WHERE proname LIKE 'ibex%'`,
    );
    expect(rows).toEqual([]);
  });
});
