import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { scanDump, withoutNewSettings } from '../../../lib/rehearsal/lab/dump-scan';

const scan = (sql: string) => scanDump(Readable.from([sql]), 'my.sql');
/** In chunks that break lines anywhere. */
const chunks = (sql: string, size: number): Readable =>
  Readable.from(
    Array.from({ length: Math.ceil(sql.length / size) }, (_, i) =>
      Buffer.from(sql.slice(i * size, (i + 1) * size), 'latin1'),
    ),
  );

describe('the SQL of a dump', () => {
  it('names the roles that must exist, and no others', async () => {
    const { roles } = await scan(`
CREATE SCHEMA x AUTHORIZATION schema_owner;
ALTER TABLE public.t OWNER TO "Mixed ""Owner""";
GRANT SELECT ON TABLE public.t TO reader;
GRANT SELECT ON TABLE public.t TO PUBLIC;
GRANT ALL ON TABLE public.t TO granted WITH GRANT OPTION;
REVOKE ALL ON TABLE public.t FROM revoked;
ALTER DEFAULT PRIVILEGES FOR ROLE giver IN SCHEMA public GRANT SELECT ON TABLES TO taker;
CREATE POLICY p ON public.t FOR SELECT TO one, "Two" USING (true);
COPY public.t (a) FROM stdin;
ALTER TABLE public.t OWNER TO nobody;
\\.
ALTER VIEW public.v OWNER TO Last;
`);
    expect([...roles].sort()).toEqual(
      ['Mixed "Owner"', 'Two', 'giver', 'granted', 'last', 'one', 'reader', 'revoked', 'schema_owner', 'taker'].sort(),
    );
  });

  it('says whether it makes the schema public', async () => {
    expect((await scan('CREATE SCHEMA public;\n')).makesPublic).toBe(true);
    expect((await scan('CREATE SCHEMA other;\n')).makesPublic).toBe(false);
  });

  it('is refused with its line when it is a whole server', async () => {
    await expect(scan('--\nCREATE DATABASE a;\n\\connect a\n')).rejects.toThrow(
      /^dump my\.sql, line 3, connects to another database/,
    );
  });

  it.each([1, 7, 1000])(
    'loses only the settings that an older server does not know (chunks of %i bytes)',
    async (size) => {
      const sql =
        'SET transaction_timeout = 0;\nSET lock_timeout = 0;\nSET default_table_access_method = heap;\nCOPY t (a) FROM stdin;\nSET transaction_timeout = 0;\n\xe4\n\\.\nend';
      const on = (version: number) => text(chunks(sql, size).pipe(withoutNewSettings(version)).setEncoding('latin1'));
      expect(await on(17)).toBe(sql);
      expect(await on(12)).toBe(sql.replace('SET transaction_timeout = 0;', ''));
      expect(await on(11)).toBe(
        sql.replace('SET transaction_timeout = 0;', '').replace('SET default_table_access_method = heap;', ''),
      );
    },
  );
});
