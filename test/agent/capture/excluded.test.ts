import { add } from '../../../assets/agent/add';
import { capture } from '../../../assets/agent/capture';
import { checkCapture } from '../../../assets/agent/capture/check';
import { ourTriggers } from '../../../assets/agent/cleanup/source';
import type { AgentConfig } from '../../../assets/agent/config';
import { sync } from '../../../assets/agent/sync';
import { watchCatalog } from '../../../assets/agent/sync/catalog-watch';
import { CopyTest } from '../../helpers/copy-test';

const FILL = `
  CREATE SCHEMA audit; CREATE TABLE audit.log (id int PRIMARY KEY, v int); CREATE TABLE item (id int PRIMARY KEY);
  INSERT INTO audit.log VALUES (1, 1); INSERT INTO item VALUES (1)`;

let copy: CopyTest;
beforeAll(async () => {
  copy = await CopyTest.start();
});
afterAll(() => copy?.migration.stop());

const WITHOUT_AUDIT: Partial<AgentConfig> = { excludeSchemas: ['audit'] };

const recapture = (overrides: Partial<AgentConfig> = {}): Promise<{ message: string }> =>
  copy.within('capture', (context) => capture.run(context), overrides);

/** What is wrong with capture, and with the source's tables, under these settings. */
const problems = (overrides: Partial<AgentConfig>): Promise<string[]> =>
  copy.within(
    'verify',
    async (context) => {
      const source = await context.connect('source');
      return [...(await checkCapture(context, source)), ...(await watchCatalog(context, source))];
    },
    overrides,
  );

const captured = async (): Promise<string[]> => [
  ...new Set((await ourTriggers(copy.source, 'bucardo')).map(({ table }) => table)),
];

/** Tables and functions that capture has made for the schema. */
async function ofAudit(): Promise<unknown[]> {
  const { rows } = await copy.source.query(`
    SELECT relname AS name FROM pg_class WHERE relnamespace = 'bucardo'::regnamespace AND relname ~ 'audit'
    UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'bucardo'::regnamespace AND proname ~ 'audit'`);
  return rows as unknown[];
}

describe('a schema that agent.excludeSchemas leaves out once its tables are captured', () => {
  beforeEach(() => copy.prepare(FILL));

  it('is captured no more when nothing is copied yet, and costs its writers nothing', async () => {
    expect(await captured()).toContain('"audit"."log"');
    const { message } = await recapture(WITHOUT_AUDIT);
    expect(message).toMatch(
      /^1 relations captured, .*; no more, since agent\.excludeSchemas leaves them out: "audit"\."log"$/,
    );
    expect(await captured()).toEqual(['"public"."item"']);
    expect(await ofAudit()).toEqual([]);
    expect(await problems(WITHOUT_AUDIT)).toEqual([]);
    expect((await recapture(WITHOUT_AUDIT)).message).toMatch(/^1 relations captured, 0 of them now, 0 lock retries$/);
  });

  it('and is captured anew when it is taken back', async () => {
    await recapture(WITHOUT_AUDIT);
    await recapture();
    expect(await problems({})).toEqual([]);
    await copy.run();
    await copy.source.query('UPDATE audit.log SET v = 2');
    await copy.catchUp();
    expect(await copy.one('target', 'SELECT v FROM audit.log')).toEqual({ v: 2 });
  });

  it.each([capture, sync, add])('is told of by name once rows are copied: $name', async (phase) => {
    await copy.within('copy', (context) => context.state.phaseStarted('copy'));
    await copy.run();
    const run = copy.within(phase.name, (context) => phase.run(context), WITHOUT_AUDIT);
    await expect(run).rejects.toThrow(
      /^agent\.excludeSchemas leaves out "audit"\."log", which is captured: take that back, or run cleanup and migrate again$/,
    );
    expect(await problems(WITHOUT_AUDIT)).toEqual([
      'agent.excludeSchemas leaves out "audit"."log", which is captured: take that back',
    ]);
    expect(await captured()).toContain('"audit"."log"');
    expect(await problems({})).toEqual([]);
  });
});

it('a schema that was left out from the beginning costs another one nothing whose queue has the same name', async () => {
  await copy.migration.fresh();
  await copy.reconnect();
  await copy.source.query(`
    CREATE SCHEMA app; CREATE SCHEMA app_foo;
    CREATE TABLE app.foo_bar (id int PRIMARY KEY); CREATE TABLE app_foo.bar (id int PRIMARY KEY)`);
  for (let run = 1; run <= 2; run += 1) await recapture({ excludeSchemas: ['app'] });
  await copy.source.query('INSERT INTO app_foo.bar VALUES (1); INSERT INTO app.foo_bar VALUES (2)');
  expect((await copy.source.query('SELECT id FROM bucardo.delta_app_foo_bar')).rows).toEqual([{ id: 1 }]);
});
