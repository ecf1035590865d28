import { ident } from '../../../assets/agent/sql';
import type { Lab } from '../../rehearsal/lab';
import { APPLICATION_LOGIN, DATABASE, SOURCE_OWNER } from '../../rehearsal/lab/source';

/** What a row takes on disk: four to a page, and its entry in the index; bytes. */
const ROW_BYTES = 2_070;

/** Copies of an MD5 sum that make a row: as much as a row may have without being compressed. */
const SUMS = 61;

/**
 * Brings the source's database to a size by one table of large rows, made on the server, which the application may
 * write as any other. Before the application starts: it takes its sample of rows then. @param bytes of the whole database
 */
export async function fillUp({ source }: Pick<Lab, 'source'>, bytes: number): Promise<void> {
  const client = await source.admin(DATABASE);
  try {
    const { rows } = await client.query('SELECT pg_database_size(current_database())::float8 AS bytes');
    const missing = Math.ceil((bytes - (rows[0] as { bytes: number }).bytes) / ROW_BYTES);
    if (missing <= 0) return;
    await client.query(`SET ROLE ${ident(SOURCE_OWNER)}`);
    await client.query('CREATE TABLE public.ballast (id int8 NOT NULL, filler text NOT NULL)');
    await client.query(
      `INSERT INTO public.ballast SELECT i, repeat(md5(i::text), ${SUMS}) FROM generate_series(1, $1::int8) i`,
      [missing],
    );
    await client.query('ALTER TABLE public.ballast ADD PRIMARY KEY (id)');
    await client.query(`GRANT ALL ON public.ballast TO ${ident(APPLICATION_LOGIN)}`);
    await client.query('RESET ROLE');
    // Else an autovacuum of all of it falls into the midst of what is measured.
    await client.query('VACUUM (ANALYZE) public.ballast');
  } finally {
    await client.end();
  }
}
