import type { Client } from 'pg';
import { installCapture } from '../../../assets/agent/capture/install';
import { addTruncateTriggers } from '../../../assets/agent/capture/truncate-triggers';
import { readRelations, type Relation } from '../../../assets/agent/catalog/relations';
import { dropCapture } from '../../../assets/agent/cleanup/source';
import type { Context } from '../../../assets/agent/context';
import { startMigration, type TestMigration } from '../../helpers/migration';
import { until } from '../../helpers/until';
import { intercept } from '../catch-up/moving';
import { runCapture } from './recorded';

/** What a write may wait for a host that is frozen: the idle time of its transaction, and some for a busy machine; milliseconds. */
const LONGEST_MS = 4_000 + 1_500;

let migration: TestMigration;
let source: Client;
beforeAll(async () => {
  migration = await startMigration();
  source = await migration.admin('source');
  await runCapture(migration);
});
afterAll(() => migration.stop());

const STEPS: [string, string, RegExp, (context: Context, client: Client, relation: Relation) => Promise<unknown>][] = [
  ['installs capture', 'fresh', /^CREATE TRIGGER/, installCapture],
  [
    'adds a trigger for another sync',
    'more',
    /^CREATE TRIGGER/,
    (context, client, relation) => addTruncateTriggers(context, client, [relation]),
  ],
  ['takes capture off', 'gone', /^DROP TRIGGER/, (context, client) => dropCapture(context, client)],
];

describe.each(STEPS)('a host that is frozen while it %s', (_, name, statement, step) => {
  it('keeps writers waiting for seconds, not for ever', async () => {
    await source.query(`CREATE TABLE ${name} (id int PRIMARY KEY, n int); INSERT INTO ${name} VALUES (1, 0)`);
    if (name !== 'fresh') await runCapture(migration);
    const context = await migration.context('capture', { sync: { ...migration.config.sync, syncs: 2 } });
    const relation = (await readRelations(source, context.config)).find((each) => each.name === name) as Relation;
    const client = await context.connect('source');
    const locked = { table: false };
    const frozen = { host: false };
    intercept(client, (text) => {
      if (statement.test(text) && text.includes(`"${name}"`)) locked.table = true;
      if (!locked.table || text !== 'COMMIT') return undefined;
      frozen.host = true;
      return new Promise(() => undefined);
    });
    void step(context, client, relation).catch(() => undefined);
    await until(() => frozen.host);

    const begun = performance.now();
    await source.query(`SET lock_timeout = ${LONGEST_MS}; UPDATE ${name} SET n = n + 1`);
    const waited = performance.now() - begun;
    expect(waited).toBeGreaterThan(1_000);
    expect(waited).toBeLessThan(LONGEST_MS);
    await source.query('RESET lock_timeout');
  });
});
