import type { Client } from 'pg';
import { installCapture } from '../../../assets/agent/capture/install';
import { addTruncateTriggers } from '../../../assets/agent/capture/truncate-triggers';
import { readRelations, type Relation } from '../../../assets/agent/catalog/relations';
import { dropCapture } from '../../../assets/agent/cleanup/source';
import type { Context } from '../../../assets/agent/context';
import { startMigration, type TestMigration } from '../../helpers/migration';
import { until } from '../../helpers/until';
import { runCapture } from './recorded';

/** What a write may wait on a busy machine; milliseconds. Far less than the idle time of a transaction. */
const LONGEST_MS = 1_000;

let migration: TestMigration;
let source: Client;
beforeAll(async () => {
  migration = await startMigration();
  source = await migration.admin('source');
  await runCapture(migration);
});
afterAll(() => migration.stop());

const STEPS: [string, string, RegExp, (context: Context, client: Client, relation: Relation) => Promise<unknown>][] = [
  ['installs capture', 'fresh', /^LOCK TABLE ONLY .* SHARE ROW EXCLUSIVE/, installCapture],
  [
    'adds a trigger for another sync',
    'more',
    /^CREATE TRIGGER/,
    (context, client, relation) => addTruncateTriggers(context, client, [relation]),
  ],
  [
    'takes capture off',
    'gone',
    /^LOCK TABLE ONLY .* ACCESS EXCLUSIVE/,
    (context, client) => dropCapture(context, client),
  ],
];

describe.each(STEPS)('a host that is frozen while it %s', (_, name, statement, step) => {
  it('keeps no writer waiting: the server is sent the end of the transaction with what locks them out', async () => {
    await source.query(`CREATE TABLE ${name} (id int PRIMARY KEY, n int); INSERT INTO ${name} VALUES (1, 0)`);
    if (name !== 'fresh') await runCapture(migration);
    const context = await migration.context('capture', { sync: { ...migration.config.sync, syncs: 2 } });
    const relation = (await readRelations(source, context.config)).find((each) => each.name === name) as Relation;
    const client = await context.connect('source');
    const frozen = { host: false };
    const query = client.query.bind(client) as (...args: unknown[]) => Promise<unknown>;
    // The server does what the message says, and the host goes no further.
    client.query = (async (...args: unknown[]) => {
      const answer = await query(...args);
      const [text] = args;
      if (typeof text !== 'string' || !statement.test(text) || !text.includes(`"${name}"`)) return answer;
      frozen.host = true;
      return new Promise(() => undefined);
    }) as typeof client.query;
    void step(context, client, relation).catch(() => undefined);
    await until(() => frozen.host);

    await source.query(`SET lock_timeout = ${LONGEST_MS}; UPDATE ${name} SET n = n + 1`);
    await source.query('RESET lock_timeout');
  });
});
