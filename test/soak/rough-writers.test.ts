import type { Client } from 'pg';
import { summary } from '../../lib/soak/main';
import {
  CascadingWriter,
  ROUGH_TABLES,
  SlowWriter,
  TruncatingWriter,
  type RoughWriter,
} from '../../lib/soak/rough-writers';
import { startPostgres, type TestPostgres } from '../helpers/postgres';

let server: TestPostgres;
let client: Client;
beforeAll(async () => {
  server = await startPostgres();
  client = await server.connect();
  await client.query(ROUGH_TABLES);
});
afterAll(() => server.stop());

const count = async (table: string): Promise<number> =>
  ((await client.query(`SELECT count(*)::int AS n FROM ${table}`)).rows[0] as { n: number }).n;

/** Lets a writer commit once at least. */
async function written(
  kind: new (name: string, address: TestPostgres & { database: string }, signal: AbortSignal) => RoughWriter,
  table: string,
): Promise<RoughWriter> {
  const ending = new AbortController();
  const writer = new kind('it', { ...server, database: 'postgres' }, ending.signal);
  const running = writer.run();
  while ((await count(table)) === 0) continue;
  ending.abort();
  await running;
  return writer;
}

describe('a rough writer finds', () => {
  it('its last acknowledged transaction in the database, and nothing else', async () => {
    for (const [kind, table] of [
      [TruncatingWriter, 'rough.emptied'],
      [CascadingWriter, 'rough.child'],
      [SlowWriter, 'rough.slow'],
    ] as const) {
      const writer = await written(kind, table);
      expect(await writer.judge(client)).toEqual({ writer: 'it', acknowledged: expect.any(Number), problems: [] });
    }
  });

  it('a row that is missing, one of an older transaction, and a table that was emptied', async () => {
    const writer = await written(TruncatingWriter, 'rough.emptied');
    await client.query('UPDATE rough.emptied SET epoch = epoch - 1 WHERE n = 1');
    expect((await writer.judge(client)).problems).toHaveLength(1);
    await client.query('DELETE FROM rough.emptied WHERE n = 1');
    expect((await writer.judge(client)).problems).toHaveLength(1);
    await client.query('TRUNCATE rough.emptied');
    expect((await writer.judge(client)).problems).toEqual(['it: the database holds nothing instead of 1 (up to 1)']);
  });

  it('children that came back after a cascade, and a step that was lost', async () => {
    const cascading = await written(CascadingWriter, 'rough.child');
    await client.query('INSERT INTO rough.parent VALUES (5000, 0); INSERT INTO rough.child VALUES (5000, 0)');
    expect((await cascading.judge(client)).problems).toHaveLength(1);
    const slow = await written(SlowWriter, 'rough.slow');
    await client.query('UPDATE rough.slow SET step = step - 1');
    expect((await slow.judge(client)).problems).toHaveLength(1);
    await client.query('UPDATE rough.slow SET step = step + 1, n = n - 1');
    expect((await slow.judge(client)).problems).toHaveLength(1);
  });

  it('that it never came to write', async () => {
    await client.query('DELETE FROM rough.slow');
    const writer = new SlowWriter('it', { ...server, database: 'postgres' }, AbortSignal.abort());
    expect((await writer.judge(client)).problems).toEqual(['it: none of its 0 transactions was acknowledged']);
  });
});

it('the summary begins with what was lost', () => {
  const rough = [{ writer: 'slow', acknowledged: 7, problems: ['slow: the database holds 6 instead of 7'] }];
  const text = summary({
    minutes: 5,
    attempts: 1,
    acknowledgedTransactions: 1234,
    acknowledgedWrites: 5678,
    rowsLostOrDifferent: 1,
    rowsCompared: 12_345,
    rough,
    longestPauseSeconds: 2.46,
  });
  expect(text.split('\n')[0]).toBe('1 rows lost or different');
  expect(text).toContain('longest write pause 2.5 s');
  expect(text).toContain('slow: the database holds 6 instead of 7');
});
