import { readFileSync } from 'node:fs';
import { deltaName, stageName, trackName } from '../../../assets/agent/capture/names';
import { queueStatements } from '../../../assets/agent/capture/objects';
import type { Relation } from '../../../assets/agent/catalog/relations';
import { startPostgres, type TestPostgres } from '../../helpers/postgres';

/** Where Debian's package keeps the functions that Bucardo makes on a source. */
const SCHEMA_FILE = '/usr/share/bucardo/bucardo.schema';

const NAMES: [string, string][] = [
  ['public', 'item'],
  ['app', 'foo_bar'],
  ['app_foo', 'bar'],
  ['My App', 'Order'],
  ['select', 'user'],
  ['dots.in', 'it.too.'],
  ['a', "it's 100% $1 \\d"],
  ['s', 'x'.repeat(55)],
  ['s', 'x'.repeat(56)],
  ['s', 'x'.repeat(63)],
  ['S'.repeat(63), 'x'.repeat(63)],
  ['S'.repeat(63), `${'x'.repeat(62)}y`],
  [`${'with space '.repeat(5)}.`, 'Table.With.Dots'],
];

describe("the names that we give are Bucardo's own", () => {
  let server: TestPostgres;
  let makerOf: (schema: string, name: string) => Promise<string>;
  beforeAll(async () => {
    server = await startPostgres();
    const client = await server.connect();
    const text = readFileSync(SCHEMA_FILE, 'utf8');
    const body = /\{ name => 'bucardo_tablename_maker', args => 'text',[^\n]*body => q\{\n([\s\S]*?)\n\}\n\}/.exec(
      text,
    )?.[1];
    await client.query('CREATE SCHEMA bucardo');
    await client.query(
      `CREATE FUNCTION bucardo.bucardo_tablename_maker(text) RETURNS text LANGUAGE plpgsql AS $_$${body}$_$`,
    );
    makerOf = async (schema, name) => {
      const { rows } = await client.query('SELECT bucardo.bucardo_tablename_maker($1) AS maker', [`${schema}_${name}`]);
      // As its Perl does, before it puts the kind in front.
      return (rows[0] as { maker: string }).maker.replaceAll('"', '');
    };
  });
  afterAll(() => server.stop());

  it.each(NAMES)('%s . %s', async (schema, name) => {
    const maker = await makerOf(schema, name);
    expect(deltaName(schema, name)).toBe(`delta_${maker}`);
    expect(trackName(schema, name)).toBe(`track_${maker}`);
    expect(stageName(schema, name)).toBe(`stage_${maker}`);
  });
});

describe('names of queues', () => {
  it('are one for two tables whose joined names are one, which assess refuses', () => {
    expect(deltaName('app', 'foo_bar')).toBe(deltaName('app_foo', 'bar'));
  });

  it('fit into an identifier, however long both names are', () => {
    for (const [schema, name] of NAMES) expect(Buffer.byteLength(deltaName(schema, name))).toBeLessThanOrEqual(63);
  });

  const relation = (name: string, column: string): Relation => {
    const columns = [
      {
        name: column,
        type: 'integer',
        baseType: 'integer',
        equals: 'OPERATOR("pg_catalog".=)',
        operatorSchema: 'pg_catalog',
      },
    ];
    return { schema: 'public', name, sql: `"public"."${name}"`, key: { columns } } as unknown as Relation;
  };

  it('that the server would cut off are refused, since Bucardo looks for them whole', () => {
    expect(() => queueStatements(relation('ä'.repeat(31), 'id'))).toThrow(/"public"."ä+" .*shorter/);
  });

  it.each(['txntime', 'captured_at'])('leave no room for a key column named %s', (column) => {
    expect(() => queueStatements(relation('item', column))).toThrow(
      `key column "${column}" of "public"."item" has a name that capture needs; rename it`,
    );
  });

  it('are asked of no relation without a usable key', () => {
    expect(() => queueStatements({ ...relation('item', 'id'), key: undefined })).toThrow(
      '"public"."item" has no usable key (no primary key); add a primary key, or exclude its schema',
    );
  });
});
