import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { Client } from 'pg';
import { checkLedger, type Verdict } from '../../../lib/rehearsal/workload/check-ledger';
import { Ledger, type LedgerTable } from '../../../lib/rehearsal/workload/ledger';
import { readVersions } from '../../../lib/rehearsal/workload/transaction';
import { startPostgres, type TestPostgres } from '../../helpers/postgres';

const item: LedgerTable = {
  id: 0,
  schema: 'public',
  name: 'item',
  only: true,
  key: [{ name: 'id', type: 'integer' }],
  columns: ['id', 'v'].map((name) => ({ name, type: name === 'id' ? 'integer' : 'text' })),
};

describe('a ledger held against a database', () => {
  let directory: string;
  let server: TestPostgres;
  let client: Client;
  let file: string;
  let ledger: Ledger;
  beforeAll(async () => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), 'ibex-check-'));
    server = await startPostgres();
    client = await server.connect();
    await client.query(`CREATE TABLE item (id int PRIMARY KEY, v text);
      INSERT INTO item SELECT n, 'v' || n FROM generate_series(1, 3000) n;
      CREATE TABLE counter (id int PRIMARY KEY, n int); INSERT INTO counter VALUES (1, 17)`);
  });
  beforeEach(() => {
    file = path.join(directory, `${fs.readdirSync(directory).length}.ledger`);
    ledger = new Ledger(file);
    ledger.append({ t: 'table', table: item });
  });
  afterAll(async () => {
    await server?.stop();
    fs.rmSync(directory, { recursive: true, force: true });
  });

  const version = async (id: number): Promise<string> =>
    (await readVersions({ query: client.query.bind(client) }, item, [[String(id)]]))[0]!;
  const check = (): Promise<Verdict> => checkLedger(file, client);

  it('takes a transaction without an outcome, and a last line cut off, as unknown', async () => {
    const present = await version(1);
    ledger.intend([[0, ['1'], 'update', 'other', present]], []);
    ledger.intend([[0, ['2'], 'update', await version(2), 'other']], []);
    const cut = ledger.intend([[0, ['3'], 'update', await version(3), 'other']], []);
    fs.appendFileSync(file, `{"t":"acknowl`);
    expect(cut).toBe(2);
    expect(await check()).toMatchObject({ acknowledgedWrites: 0, unknownWrites: 3, lostWrites: 0, judged: 3 });
  });

  it('takes a refused commit as never tried', async () => {
    ledger.settle(ledger.intend([[0, ['1'], 'update', await version(1), 'other']], []), 'failed');
    ledger.settle(ledger.intend([[0, ['9999'], 'insert', null, 'new']], []), 'failed');
    expect(await check()).toMatchObject({ acknowledgedWrites: 0, unknownWrites: 0, lostWrites: 0, judged: 2 });
    ledger.settle(ledger.intend([[0, ['2'], 'insert', null, await version(2)]], []), 'failed');
    expect(await check()).toMatchObject({ ghostRows: 1, lostWrites: 1 });
  });

  it.each([
    [17, 0, 0, 0],
    [16, 1, 0, 0],
    [15, 1, 1, 0],
    [10, 7, 5, 0],
    [10, 8, 0, 1],
    [10, 6, 0, 1],
    [10, 5, 1, 1],
  ])('bounds a counter from %i by %i acknowledged and %i unknown: %i wrong', async (initial, acked, unknown, wrong) => {
    const key = { name: 'id', value: '1' };
    const counter = { id: 0, schema: 'public', name: 'counter', key, column: 'n', initial: String(initial) };
    ledger.append({ t: 'counter', counter });
    ledger.settle(ledger.intend([], [[0, acked]]), 'acknowledged');
    ledger.settle(ledger.intend([], [[0, unknown]]), 'unknown');
    expect(await check()).toMatchObject({ countersWrong: wrong, lostWrites: wrong });
  });

  it('looks at every row of a long ledger, and keeps no more than twenty examples', async () => {
    for (let id = 1; id <= 3000; id++) {
      ledger.settle(ledger.intend([[0, [String(id)], 'update', 'v0', 'v1']], []), 'acknowledged');
    }
    const verdict = await check();
    expect(verdict).toMatchObject({ judged: 3000, acknowledgedWrites: 3000, lostUpdates: 3000, lostWrites: 3000 });
    expect(verdict.examples).toHaveLength(20);
    expect(fs.readdirSync(directory).filter((name) => name.startsWith('ledger-parts'))).toEqual([]);
  });

  it('counts the rows of a table that is gone as lost', async () => {
    ledger.append({ t: 'table', table: { ...item, id: 1, name: 'gone' } });
    ledger.settle(ledger.intend([[1, ['1'], 'insert', null, 'v1']], []), 'acknowledged');
    expect(await check()).toMatchObject({ lostRows: 1, lostWrites: 1 });
  });

  it('does not overwrite a ledger that is there', () => {
    expect(() => new Ledger(file)).toThrow('EEXIST');
  });
});
