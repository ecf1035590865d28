import type { Client } from 'pg';
import { readCatalog, type CatalogObject } from '../../../assets/agent/verify/catalog-objects';
import { compareWordings } from '../../../assets/agent/verify/wordings';
import { startPostgres, type TestPostgres } from '../../helpers/postgres';

let server: TestPostgres;
let client: Client;
let objects: CatalogObject[];
beforeAll(async () => {
  server = await startPostgres({ version: 17 });
  client = await server.connect();
  await client.query(`
    CREATE TABLE public."Item" (id int PRIMARY KEY, "Note" text, CHECK ("Note" <> ''));
    CREATE FUNCTION public.above(id int) RETURNS bigint BEGIN ATOMIC SELECT count(*) + above.id FROM public."Item" i WHERE i.id > above.id; END;
    CREATE PROCEDURE public.forget(bound int) BEGIN ATOMIC DELETE FROM public."Item" i WHERE i.id < bound; END;
    CREATE RULE "no more" AS ON INSERT TO public."Item" WHERE NEW.id > 10 DO INSTEAD NOTHING;
    CREATE VIEW public.notes AS SELECT "Note" FROM public."Item";
    SET search_path = pg_catalog; SET default_transaction_read_only = on`);
  objects = (await readCatalog(client, [], 'source')).filter(({ text }) => text !== null);
});
afterAll(() => server?.stop());

const named = (id: string): CatalogObject => objects.find(({ kind, name }) => `${kind} ${name}` === id)!;

describe.each([
  ['constraint "Item_Note_check" of public."Item"', `<>`, '>'],
  ['body of function public.above(id integer)', '+', '-'],
  ['body of function public.forget(bound integer)', '<', '<='],
  ['rule "no more" of public."Item"', '10', '11'],
  ['view public.notes', 'SELECT "Note"', 'SELECT upper("Note") AS "Note"'],
])('the text of %s', (id, part, other) => {
  const judged = async (text: string): Promise<unknown> => {
    const object = named(id);
    return (await compareWordings(client, [[{ ...object, text }, object]]))[0];
  };

  it('is the same with more parentheses, comments or spaces', async () => {
    const { text, kind } = named(id);
    const words = kind === 'constraint' ? `((${text}))` : text!.replace(/\n\s*/g, '\n /* spaced */ ');
    expect(await judged(words)).toBe('same');
  });

  it('is another one where it means something else', async () => {
    expect(await judged(named(id).text!.replace(part, other))).toBe('other');
  });

  it('is neither where the server cannot read it', async () => {
    expect(
      await judged(
        named(id)
          .text!.replace('Note', 'Gone')
          .replace(/\bid\b/, 'gone'),
      ),
    ).toEqual({
      cause: expect.stringMatching(/does not exist|missing FROM-clause/),
    });
  });
});

it('each pair has its own answer, and nothing of any of them stays', async () => {
  const view = named('view public.notes');
  const broken = { ...view, text: 'SELECT gone' };
  const cause = expect.stringContaining('"gone" does not exist');
  const pairs = [
    [view, view],
    [broken, view],
    [view, view],
    [view, broken],
  ] as const;
  expect(await compareWordings(client, pairs)).toEqual(['same', { cause }, 'same', { cause }]);
  const { rows } = await client.query(
    `SELECT relname FROM pg_class WHERE relpersistence = 't' UNION SELECT proname FROM pg_proc WHERE proname LIKE 'ibex%'`,
  );
  expect(rows).toEqual([]);
});
