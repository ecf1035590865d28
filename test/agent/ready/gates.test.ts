import type { Client } from 'pg';
import { CAPTURED_FACT } from '../../../assets/agent/capture/check';
import { readRelations } from '../../../assets/agent/catalog/relations';
import type { AgentConfig } from '../../../assets/agent/config';
import type { Context } from '../../../assets/agent/context';
import { prepareLeases } from '../../../assets/agent/lease';
import { approve } from '../../../assets/agent/ready/approvals';
import { askAll, blocked, type Asked } from '../../../assets/agent/ready/ask';
import type { Gate } from '../../../assets/agent/ready/gate';
import { GATES } from '../../../assets/agent/ready/gates';
import { gateLine, gateTable } from '../../../assets/agent/ready/table';
import { report } from '../../../assets/agent/report';
import { Switches } from '../../../assets/agent/switch/switches';
import { readIdentity } from '../../../assets/agent/sync/identity';
import { startMigration, type TestMigration } from '../../helpers/migration';

let migration: TestMigration;
let context: Context;
let source: Client;
let target: Client;
beforeAll(async () => {
  migration = await startMigration();
  const definitions = `
    CREATE TABLE public.item (id smallserial PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY, label text);
    CREATE TABLE public.child (id int PRIMARY KEY, item int)`;
  const admin = await migration.admin('source');
  await admin.query(definitions);
  await admin.end();
  context = await migration.context('ready');
  source = await context.connect('source');
  target = await context.connect('target');
  await target.query(definitions);
});
afterAll(() => migration.stop());

const named = (name: string): Gate => GATES.find((gate) => gate.name === name)!;

/** Asks one gate. */
async function ask(name: string, settings: Partial<AgentConfig['ready']> = {}, freezing = false): Promise<Asked> {
  const { config } = context;
  const at = Object.create(context, {
    config: { value: { ...config, ready: { ...config.ready, ...settings } } },
  }) as Context;
  const relations = await readRelations(source, config);
  const [answer] = await askAll([named(name)], {
    context: at,
    source,
    target,
    relations,
    aws: undefined,
    switches: new Switches([]),
    freezing,
  });
  return answer!;
}

describe('the gates', () => {
  test('have names of their own, so that a report tells them apart', () => {
    expect(new Set(GATES.map(({ name }) => name)).size).toBe(GATES.length);
  });

  test('keep the question, the answer and what to do as evidence', async () => {
    await ask('target closed');
    const evidence = (await context.state.allEvidence()).findLast(({ gate }) => gate === 'target closed');
    expect(evidence).toMatchObject({
      phase: 'ready',
      passed: false,
      query: 'readFenceState: prosrc of ibex.fence; fenceGaps',
      result: { verdict: 'block', figure: 'no fence', todo: expect.stringContaining('start add, which closes it') },
    });
  });

  test('are all asked, and one that cannot be asked blocks', async () => {
    const broken: Gate = {
      name: 'broken',
      query: '',
      again: true,
      forwardOnly: false,
      ask: () => Promise.reject(new Error('no answer')),
    };
    const look = {
      context,
      source,
      target,
      relations: [],
      aws: undefined,
      switches: new Switches([]),
      freezing: false,
    };
    const asked = await askAll([broken, named('no prepared transaction')], look);
    expect(asked.map(({ verdict }) => verdict)).toEqual(['block', 'pass']);
    expect(blocked(asked)).toBe('broken: cannot be asked: no answer; mend that and start ready again');
  });
});

test('a target that was put back to an earlier time since it was last looked at blocks', async () => {
  const { state } = context;
  await state.setFact('target.seen', { ...(await readIdentity(target)), wal: '9000000000000000' });
  expect(await ask('sync healthy')).toMatchObject({
    verdict: 'block',
    figure: expect.stringMatching(
      /^the target may have lost what it was given: it has lost a part of its log \(9000000000000000 bytes/,
    ),
  });
  for (const name of ['source.seen', 'target.seen', 'sync.identity']) await context.state.setFact(name, null);
});

test('the report names the snapshot that was found last, and once a cutover has found one, that of the last cutover', async () => {
  expect(await report(migration.config)).toMatchObject({ rollbackPoint: null });
  const found = (name: string) => ({ verdict: 'pass', result: { name, status: 'available', at: '2026-01-01' } });
  for (const name of ['early', 'late']) {
    await context.state.evidence('ready', 'rollback point', true, '', found(name));
    expect(await report(migration.config)).toMatchObject({ rollbackPoint: { name } });
  }
  await context.state.evidence('cutover', 'rollback point', true, '', found('ibex-0'));
  await context.state.evidence('cutover', 'rollback point', true, '', found('ibex-1'));
  await context.state.evidence('ready', 'rollback point', true, '', found('ibex-2'));
  expect(await report(migration.config)).toMatchObject({ rollbackPoint: { name: 'ibex-1' } });
});

describe('the answers', () => {
  const asked: Asked[] = [
    { gate: 'lag', verdict: 'pass', figure: '0.1 s behind', result: null },
    { gate: 'long name', verdict: 'warn', figure: '31 hours', todo: 'start verify', result: null },
    { gate: 'closed', verdict: 'block', figure: 'open', todo: 'start schema', result: null },
  ];

  test('stand in a table, blocks first', () => {
    expect(gateTable(asked)).toBe(`BLOCK  closed     open
                  → start schema
WARN   long name  31 hours
                  → start verify
PASS   lag        0.1 s behind`);
  });

  test('fit into one line for a runbook', () => {
    expect(gateLine(asked.slice(0, 2))).toBe('2 gates: 1 pass, 1 warn: long name (31 hours)');
  });
});

describe('sequences', () => {
  test('pass when the target has them, identity columns too', async () => {
    expect(await ask('sequences')).toMatchObject({ verdict: 'pass', figure: '2, the fullest 0 % used' });
  });

  test('are warned of when near their end', async () => {
    await source.query(`SELECT setval('public.item_id_seq', 30000)`);
    expect(await ask('sequences')).toMatchObject({
      verdict: 'warn',
      figure: '"public"."item_id_seq" is 92 % used',
    });
  });

  test('block when the value to come is beyond the type of the target', async () => {
    await source.query('ALTER SEQUENCE public.item_id_seq AS bigint');
    await source.query(`SELECT setval('public.item_id_seq', 40000)`);
    expect(await ask('sequences')).toMatchObject({
      verdict: 'block',
      figure: expect.stringContaining('beyond the target') as string,
    });
    await source.query(`SELECT setval('public.item_id_seq', 5); ALTER SEQUENCE public.item_id_seq AS smallint`);
  });

  test('block when the target lacks one', async () => {
    await source.query('CREATE SEQUENCE public.newer');
    expect(await ask('sequences')).toMatchObject({
      verdict: 'block',
      figure: 'not on the target: "public"."newer"',
    });
    await source.query('DROP SEQUENCE public.newer');
  });
});

describe('the target', () => {
  test('blocks while a large table has no statistics, warns of a small one', async () => {
    await target.query(`INSERT INTO public.item (label) SELECT 'x' FROM generate_series(1, 10)`);
    expect(await ask('ANALYZE done on the target')).toMatchObject({
      verdict: 'warn',
      figure: '1 small tables without statistics: "public"."item"',
    });
    await target.query(`INSERT INTO public.item (label) SELECT repeat('x', 1000) FROM generate_series(1, 2000)`);
    expect(await ask('ANALYZE done on the target')).toMatchObject({ verdict: 'block' });
    await target.query('ANALYZE public.item');
    expect(await ask('ANALYZE done on the target')).toMatchObject({ verdict: 'pass' });
  });

  test('blocks with an invalid constraint that the source has validated, and warns where neither has', async () => {
    const foreign =
      'ALTER TABLE public.child ADD CONSTRAINT to_item FOREIGN KEY (id) REFERENCES public.child NOT VALID';
    await target.query(foreign);
    expect(await ask('indexes and constraints valid')).toMatchObject({
      verdict: 'block',
      figure: 'not valid: constraint to_item of public.child',
    });
    await source.query(foreign);
    expect(await ask('indexes and constraints valid')).toMatchObject({ verdict: 'warn' });
    for (const client of [source, target]) await client.query('ALTER TABLE public.child VALIDATE CONSTRAINT to_item');
    expect(await ask('indexes and constraints valid')).toMatchObject({ verdict: 'pass' });
  });

  test('blocks when a role or the database gives up durable commits', async () => {
    // The test servers run without fsync, which is what the gate is for.
    const off = 'durable commits on the target';
    expect((await ask(off)).figure).toMatch(/fsync.* is off/);
    const { database } = migration.config.target;
    await target.query(`ALTER DATABASE ${database} SET synchronous_commit = off`);
    expect((await ask(off)).figure).toContain(`synchronous_commit for database ${database}`);
    await target.query(`ALTER DATABASE ${database} RESET synchronous_commit`);
  });

  /** Changes the whole server, and waits until the gate says so. */
  async function server(change: string, figure: (figure: string) => boolean): Promise<void> {
    const admin = await migration.admin('target');
    await admin.query(`ALTER SYSTEM ${change}`);
    await admin.query('SELECT pg_reload_conf()');
    await admin.end();
    for (const until = Date.now() + 10_000; !figure((await ask('durable commits on the target')).figure);)
      if (Date.now() > until) throw new Error(`${change}: ${(await ask('durable commits on the target')).figure}`);
  }

  test('blocks when the whole server gives up durable commits, though our own sessions do not', async () => {
    try {
      await server('SET synchronous_commit = off', (figure) => /synchronous_commit( is off|,)/.test(figure));
    } finally {
      await server('RESET synchronous_commit', (figure) => !figure.includes('synchronous_commit'));
    }
  });

  test('blocks when our own login carries a setting that hides what the server has', async () => {
    const hides = 'synchronous_commit for role master, our own login, hides';
    expect((await ask('durable commits on the target')).figure).not.toContain(hides);
    await target.query('ALTER ROLE master SET synchronous_commit = on');
    expect((await ask('durable commits on the target')).figure).toContain(hides);
    await target.query('ALTER ROLE master RESET synchronous_commit');
  });
});

describe('the source', () => {
  const name = 'long transactions at the source';
  /** Waits until the oldest transaction counts as long for the gate. */
  const asLong = { transactionSeconds: 0 };

  test('blocks with a transaction that holds a writer’s lock, and names the table', async () => {
    const writer = await migration.admin('source');
    await writer.query('BEGIN; UPDATE public.item SET label = label');
    expect(await ask(name, asLong)).toMatchObject({
      verdict: 'block',
      figure: expect.stringMatching(/^process \d+ of postgres for \d+ s, with locks on public\.item$/) as string,
    });
    await writer.end();
  });

  test('is warned of a transaction that only reads', async () => {
    const reader = await migration.admin('source');
    await reader.query('BEGIN; SELECT FROM public.item');
    expect(await ask(name, asLong)).toMatchObject({ verdict: 'warn' });
    await reader.end();
  });

  test('passes without', async () => {
    expect(await ask(name, { transactionSeconds: 3600 })).toMatchObject({ verdict: 'pass' });
  });

  test('blocks with a prepared transaction', async () => {
    const writer = await migration.admin('source');
    await writer.query(`BEGIN; UPDATE public.item SET label = label; PREPARE TRANSACTION 'two-phase'`);
    expect(await ask('no prepared transaction')).toMatchObject({ verdict: 'block', figure: '1 open at the source: two-phase' }); // prettier-ignore
    await writer.query(`ROLLBACK PREPARED 'two-phase'`);
    await writer.end();
  });
});

describe('the catalogs', () => {
  const name = 'catalogs still agree';
  const INDEX = 'CREATE INDEX later ON public.item (label)';

  test('agree where both ends were made alike, whatever is ours there', async () => {
    await target.query('CREATE SCHEMA IF NOT EXISTS ibex; CREATE TABLE IF NOT EXISTS ibex.own (id int)');
    expect(await ask(name)).toMatchObject({ verdict: 'pass', figure: expect.stringMatching(/^\d+ objects/) });
  });

  test.each([
    ['an index', INDEX, 'DROP INDEX public.later', 'index public.later is missing on the target'],
    [
      'a check',
      'ALTER TABLE public.item ADD CONSTRAINT later CHECK (id > 0)',
      'ALTER TABLE public.item DROP CONSTRAINT later',
      'constraint later of public.item is missing on the target',
    ],
    ['a view', 'CREATE VIEW public.later AS SELECT 1 AS one', 'DROP VIEW public.later', 'view public.later is missing'],
  ])(
    'block with %s that came to the source after verify, also right before the freeze',
    async (_, make, drop, figure) => {
      await source.query(make);
      try {
        for (const freezing of [false, true]) {
          expect(await ask(name, {}, freezing)).toMatchObject({
            verdict: 'block',
            figure: expect.stringContaining(figure),
            todo: 'apply the same DDL to the target, or start add for what is new; then start verify again',
          });
        }
        expect(named(name)).toMatchObject({ again: true, forwardOnly: true });
      } finally {
        await source.query(drop);
      }
    },
  );

  test('agree again once the target has it, too', async () => {
    for (const client of [source, target]) await client.query(INDEX);
    expect(await ask(name)).toMatchObject({ verdict: 'pass' });
    for (const client of [source, target]) await client.query('DROP INDEX public.later');
  });
});

describe('the last full verify', () => {
  const name = 'last full verify';

  test('blocks when there was none, warns when it is old, passes when it is new', async () => {
    expect(await ask(name)).toMatchObject({ verdict: 'block', figure: 'never' });
    await context.state.phaseStarted('verify');
    await context.state.phaseEnded('verify', 'failed', '3 rows differ');
    expect(await ask(name)).toMatchObject({ verdict: 'block', figure: 'verify failed' });
    await context.state.phaseEnded('verify', 'succeeded', 'equal');
    expect(await ask(name)).toMatchObject({ verdict: 'pass' });
    await context.state.client.query(`UPDATE ibex.phase SET started_at = started_at - interval '25 hours'`);
    expect(await ask(name)).toMatchObject({ verdict: 'warn', todo: 'older than 24 hours: start verify again' });
  });
});

describe('keys left to compare', () => {
  const name = 'keys left to compare';
  const mark = (strikes: number): Promise<unknown> =>
    context.state.client.query(
      `INSERT INTO ibex.dirty_key (schema_name, relation_name, key, strikes) VALUES ('public', 'item', '{1}', ${strikes})`,
    );

  test('of tables that no verify has found equal, the rows count; so many block, and few are compared in the pause', async () => {
    await source.query(`INSERT INTO public.item (label) VALUES ('a'), ('b')`);
    expect(await ask(name)).toMatchObject({
      verdict: 'warn',
      figure: expect.stringContaining('0 keys, and 2 rows not verified before: "public"."item", "public"."child"'),
    });
    expect(await ask(name, { keysToCompare: 1 })).toMatchObject({
      verdict: 'block',
      figure: expect.stringContaining('not verified as a whole: "public"."item"'),
      todo: 'start verify again',
    });
    await context.state.client.query(
      `INSERT INTO ibex.verified (schema_name, relation_name, again_since) VALUES ('public', 'item', now())`,
    );
    expect(await ask(name, { keysToCompare: 1 })).toMatchObject({
      verdict: 'block',
      todo: 'wait: what was copied anew, or left behind by a rollback, is verified again by the sync itself; or start verify',
    });
    await context.state.client.query('TRUNCATE ibex.verified');
    await source.query('DELETE FROM public.item');
  });

  test('block above the limit, and when one was found different', async () => {
    await context.state.client.query(
      `INSERT INTO ibex.verified (schema_name, relation_name, verified_at)
       SELECT 'public', name, now() FROM unnest(ARRAY['item', 'child']) AS name`,
    );
    await mark(0);
    expect(await ask(name)).toMatchObject({ verdict: 'pass', figure: '1 keys' });
    expect(await ask(name, { keysToCompare: 0 })).toMatchObject({ verdict: 'block', figure: '1 keys' });
    await mark(3);
    expect(await ask(name)).toMatchObject({ verdict: 'block', figure: 'rows of "public"."item" were found different' });
    await context.state.client.query('TRUNCATE ibex.dirty_key');
  });

  test('block what the sync itself found different as a whole, until it is verified', async () => {
    await context.state.setFact('sync.unequal', { '"public"."child"': 2 });
    expect(await ask(name)).toMatchObject({ verdict: 'pass' });
    await context.state.client.query(
      `UPDATE ibex.verified SET verified_at = NULL, again_since = now() WHERE relation_name = 'child'`,
    );
    expect(await ask(name)).toMatchObject({
      verdict: 'block',
      figure: 'rows of "public"."child" were found different',
    });
    await context.state.client.query('UPDATE ibex.verified SET verified_at = now(), again_since = NULL');
  });

  test('warn of tables that the sync cannot compare', async () => {
    await context.state.setFact('sync.compare', { problems: ['"public"."item" cannot be compared: it has no key'] });
    expect(await ask(name)).toMatchObject({
      verdict: 'warn',
      figure: '0 keys; "public"."item" cannot be compared: it has no key',
    });
    await context.state.setFact('sync.compare', null);
  });
});

describe('approvals', () => {
  const name = 'approvals';
  const wanted = { approvals: 2 };
  beforeAll(async () => {
    await context.state.phaseStarted('verify');
    await context.state.phaseEnded('verify', 'succeeded', 'equal');
  });
  const record = (by: string): Promise<string> => approve(migration.config, by);

  test('are not asked for unless the settings want some', async () => {
    expect(await ask(name)).toMatchObject({ verdict: 'pass', figure: expect.stringContaining('not asked for') });
  });

  test('cannot be given before there is a verify, nor without a name', async () => {
    await context.state.phaseEnded('verify', 'failed', 'different');
    await expect(record('anna')).rejects.toThrow(/^there is nothing to approve: verify has not succeeded/);
    await expect(record('a; b')).rejects.toThrow(/needs --by NAME/);
    await context.state.phaseEnded('verify', 'succeeded', 'equal');
  });

  test('are warned of by ready and block the freeze, until enough people have given theirs', async () => {
    expect(await ask(name, wanted)).toMatchObject({ verdict: 'warn', figure: '0 of 2' });
    await record('anna');
    await record('anna');
    expect(await ask(name, wanted, true)).toMatchObject({ verdict: 'block', figure: '1 of 2: anna 0.0 hours ago' });
    await record('bert');
    expect(await ask(name, wanted, true)).toMatchObject({ verdict: 'pass', figure: expect.stringMatching(/^2 of 2/) });
  });

  test('end with their time', async () => {
    const old = `UPDATE ibex.fact SET value = jsonb_set(value, '{0,at}', '"2020-01-01T00:00:00Z"') WHERE name = 'approvals'`;
    await context.state.client.query(old);
    expect(await ask(name, wanted, true)).toMatchObject({
      verdict: 'block',
      figure: expect.stringContaining('expired'),
    });
    await record('anna');
    expect(await ask(name, wanted, true)).toMatchObject({ verdict: 'pass' });
  });

  test('end with another verify', async () => {
    await context.state.phaseStarted('verify');
    await context.state.phaseEnded('verify', 'succeeded', 'equal');
    expect(await ask(name, wanted, true)).toMatchObject({
      verdict: 'block',
      figure: expect.stringContaining('of another state'),
    });
  });

  test('of a runbook count for as many as it asked', async () => {
    await record('2 approvers of runbook 01234567-89ab');
    expect(await ask(name, wanted, true)).toMatchObject({ verdict: 'pass' });
  });
});

describe('the health of the application', () => {
  const health = { source: [], target: [], command: [], timeoutSeconds: 1 };
  const asked = (change: object): Promise<Asked> => ask('application health', { health: { ...health, ...change } });

  test('is warned of when nobody asks', async () => {
    expect(await asked({})).toMatchObject({ verdict: 'warn', figure: 'nobody asks' });
  });

  test('passes with statements that give a row, and a program that ends well', async () => {
    const probes = { source: ['SELECT 1'], target: ['SELECT count(*) >= 0 FROM public.item'], command: ['true'] };
    expect(await asked(probes)).toMatchObject({ verdict: 'pass', figure: '3 probes are well' });
  });

  test.each([
    ['gives false', { source: ['SELECT false'] }, 'it gives false'],
    ['gives nothing', { source: ['SELECT 1 WHERE false'] }, 'it gives no row'],
    ['fails', { target: ['SELECT * FROM nowhere'] }, 'does not exist'],
    ['takes too long', { target: ['SELECT pg_sleep(9)'] }, 'statement timeout'],
    ['writes', { target: [`INSERT INTO public.item (label) VALUES ('x') RETURNING 1`] }, 'read-only transaction'],
    ['is two', { target: [`COMMIT; DELETE FROM public.item`] }, 'cannot insert multiple commands'],
    ['is a program that fails', { command: ['sh', '-c', 'echo no shop >&2; exit 3'] }, 'no shop'],
    ['is a program that hangs', { command: ['sleep', '9'] }, 'longer than 1 s'],
  ])('blocks when a probe %s', async (_what, change, problem) => {
    expect(await asked(change)).toMatchObject({ verdict: 'block', figure: expect.stringContaining(problem) as string });
  });
});

test('what only AWS knows is not asked of a target that is none of AWS', async () => {
  for (const name of ['no alarm', 'serve profile in force', 'rollback point']) {
    expect((await ask(name)).figure).toContain('not described as one of AWS');
  }
});

describe('capture in place', () => {
  const capture = async (): Promise<string | undefined> => (await ask('capture in place')).todo;
  beforeAll(async () => prepareLeases(target, await readRelations(source, context.config)));
  afterAll(() => context.state.setFact(CAPTURED_FACT, {}));

  test('asks for add where a table is merely new', async () => {
    expect(await ask('capture in place')).toMatchObject({ verdict: 'block', todo: 'start add, which takes it in' });
  });

  test('asks for add where one is gone as well', async () => {
    await context.state.setFact(CAPTURED_FACT, { '"public"."gone"': '1:1 2:2' });
    expect(await capture()).toBe('drop on the target too what is gone, and start add');
  });

  test('asks for a new migration where a table was captured, or copied, and its trigger is missing', async () => {
    const anew = 'changes may have been missed: run cleanup and migrate again';
    await context.state.setFact(CAPTURED_FACT, { '"public"."child"': '1:1 2:2' });
    expect(await capture()).toBe(anew);
    await context.state.setFact(CAPTURED_FACT, {});
    await target.query(`UPDATE ibex.relation SET copied_at = now(), copied_rows = 0 WHERE relation_name = 'child'`);
    expect(await capture()).toBe(anew);
  });
});
