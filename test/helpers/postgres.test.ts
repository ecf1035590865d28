import { startPostgres, type TestPostgres } from './postgres';

describe.each([11, 15, 17] as const)('a throw-away PostgreSQL %i', (version) => {
  let server: TestPostgres;
  beforeAll(async () => {
    server = await startPostgres({ version, password: `it's "a" @:/=%#` });
  });
  afterAll(() => server.stop());

  it('answers, in its own version, to the right password', async () => {
    const client = await server.connect();
    const { rows } = await client.query('SHOW server_version_num');
    expect(Math.floor(Number(rows[0].server_version_num) / 10000)).toBe(version);
    await client.end();
  });

  it('comes back after a crash with what was committed', async () => {
    const before = await server.connect();
    await before.query('CREATE TABLE kept AS SELECT 42 AS answer');
    await server.kill();
    expect(server.pid).toBeUndefined();
    await expect(server.connect()).rejects.toThrow('ECONNREFUSED');
    await server.start();
    const after = await server.connect();
    const { rows } = await after.query('SELECT answer FROM kept');
    expect(rows).toEqual([{ answer: 42 }]);
    await after.end();
  });
});
