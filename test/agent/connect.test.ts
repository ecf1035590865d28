import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { Client } from 'pg';
import { connectTo } from '../../assets/agent/connect';
import { isLost } from '../../assets/agent/lost';
import type { Endpoint } from '../../assets/agent/endpoints';
import { startPostgres, type TestPostgres } from '../helpers/postgres';

/** What a role of an application may carry, for itself or by its database. */
const CARRIED = {
  statement_timeout: '1s',
  lock_timeout: '1s',
  idle_in_transaction_session_timeout: '1s',
  idle_session_timeout: '1s',
  transaction_timeout: '2s',
  default_transaction_isolation: 'serializable',
  default_transaction_read_only: 'on',
  search_path: 'public',
  standard_conforming_strings: 'off',
  DateStyle: 'German',
  array_nulls: 'off',
  xmloption: 'document',
  quote_all_identifiers: 'on',
  synchronous_commit: 'off',
};

let server: TestPostgres;
let endpoint: Endpoint;
beforeAll(async () => {
  server = await startPostgres({ version: 17 });
  const { host, port } = server;
  endpoint = { end: 'source', host, port, database: 'postgres', user: 'mover', password: '', sslmode: 'disable' };
  const admin = await server.connect();
  await admin.query('CREATE ROLE mover LOGIN');
  for (const [name, value] of Object.entries(CARRIED)) await admin.query(`ALTER ROLE mover SET ${name} = '${value}'`);
  await admin.end();
});
afterAll(() => server.stop());

async function settings(client: Client): Promise<Record<string, string>> {
  const { rows } = await client.query<{ name: string; value: string }>(
    'SELECT name, current_setting(name) AS value FROM unnest($1::text[]) AS s (name)',
    [Object.keys(CARRIED)],
  );
  return Object.fromEntries(rows.map(({ name, value }) => [name, value]));
}

test('no setting that a role carries reaches our sessions', async () => {
  const plain = new Client({ ...endpoint });
  await plain.connect();
  expect(await settings(plain)).toMatchObject({ statement_timeout: '1s', default_transaction_read_only: 'on' });
  await plain.end();

  const ours = await connectTo(endpoint, 'test');
  expect(await settings(ours)).toEqual({
    statement_timeout: '0',
    lock_timeout: '0',
    idle_in_transaction_session_timeout: '0',
    idle_session_timeout: '0',
    transaction_timeout: '0',
    default_transaction_isolation: 'read committed',
    default_transaction_read_only: 'off',
    search_path: 'pg_catalog',
    standard_conforming_strings: 'on',
    DateStyle: 'ISO, YMD',
    array_nulls: 'on',
    xmloption: 'content',
    quote_all_identifiers: 'off',
    synchronous_commit: 'on',
  });
  await ours.end();
});

/**
 * A pooler in transaction mode: its clients share one session of the server, which nothing resets between them. It announces
 * a process of its own (`K`, 12 bytes), since that is the one message that it cannot pass on.
 */
async function startPooler(): Promise<{ readonly port: number; stop(): void }> {
  const upstream = connect(server.port, server.host);
  let client: Socket | undefined;
  let welcome: Buffer | undefined;
  upstream.on('data', (data) => {
    const at = data.indexOf(Buffer.from([0x4b, 0, 0, 0, 12]));
    if (at >= 0) {
      data.writeInt32BE(1, at + 5);
      welcome = data;
    }
    client?.write(data);
  });
  const pooler = createServer((next) => {
    client = next;
    next.on('error', () => undefined);
    next.on('data', ([...bytes]) => {
      const isStart = bytes[0] === 0;
      if (isStart && welcome) next.write(welcome);
      else if (bytes[0] !== 'X'.charCodeAt(0)) upstream.write(Buffer.from(bytes));
    });
  }).listen(0, '127.0.0.1');
  await once(pooler, 'listening');
  const stop = (): void => {
    upstream.destroy();
    pooler.close();
  };
  return { port: (pooler.address() as AddressInfo).port, stop };
}

test('a pooler in between is refused, since it may give our session to others, and its sessions stay as they were', async () => {
  const direct = new Client({ ...endpoint });
  await direct.connect();
  const { port, stop } = await startPooler();
  await expect(connectTo({ ...endpoint, port }, 'test')).rejects.toThrow(
    `cannot connect to source 127.0.0.1:${port}/postgres as mover: a pooler stands between`,
  );
  const next = new Client({ ...endpoint, port });
  await next.connect();
  const [found, own] = [await settings(next), await settings(direct)];
  await Promise.all([next.end(), direct.end()]);
  stop();
  expect(found).toEqual(own);
});

describe('a server that became a standby, as one does by a failover', () => {
  let there: Endpoint;
  beforeAll(async () => {
    await server.demote();
    there = { ...endpoint, user: server.user };
  });

  const failureOf = (work: Promise<unknown>): Promise<Error> =>
    work.then(
      () => new Error('it succeeded'),
      (error: Error) => error,
    );

  test.each(['source', 'target'] as const)('is refused as the %s, and waited for as one that is away', async (end) => {
    const failure = await failureOf(connectTo({ ...there, end }, 'test'));
    expect(failure.message).toMatch(
      new RegExp(
        `^cannot connect to ${end} .* as postgres: it is a standby now, which takes no writes; give the address`,
      ),
    );
    expect(isLost(failure)).toBe(true);
  });

  test('serves as what is dumped, and who only asks', async () => {
    for (const session of [connectTo({ ...there, end: 'dumpSource' }, 'test'), connectTo(there, 'test', true)]) {
      expect((await (await session).query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
      await (await session).end();
    }
  });

  test('is told by its refusal of a write, which is not that of a trigger', async () => {
    const session = await connectTo(there, 'test', true);
    const refused = await failureOf(session.query('CREATE TABLE public.t (id int)'));
    const raised = await failureOf(session.query(`DO $$ BEGIN RAISE 'no' USING ERRCODE = '25006'; END $$`));
    await session.end();
    expect([refused, raised]).toEqual([
      expect.objectContaining({ code: '25006' }),
      expect.objectContaining({ code: '25006' }),
    ]);
    expect([isLost(refused), isLost(raised)]).toEqual([true, false]);
  });
});
