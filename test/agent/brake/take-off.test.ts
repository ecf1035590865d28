import { existsSync, mkdirSync } from 'node:fs';
import { OFF_FACT } from '../../../assets/agent/brake/capture-off';
import { takeCaptureOff } from '../../../assets/agent/brake/take-off';
import { capture } from '../../../assets/agent/capture';
import { ourTriggers } from '../../../assets/agent/cleanup/source';
import { rowArchive } from '../../../assets/agent/dump/partial';
import { runPhase } from '../../../assets/agent/phase';
import { guardQueues } from '../../../assets/agent/sync/guard-queues';
import { until } from '../../helpers/until';
import { intercept } from '../catch-up/moving';
import { startBothWays, type BothWays } from '../cutover/both-ways';

const REASON = 'a test says so';
const REFUSAL = `capture was taken off because ${REASON}; run cleanup and migrate again`;

let ways: BothWays;
beforeAll(async () => {
  ways = await startBothWays('CREATE TABLE item (id int PRIMARY KEY); CREATE TABLE probe (id int PRIMARY KEY)');
});
afterAll(() => ways?.stop());

describe('a removal of capture that is killed while one table is busy', () => {
  /** Tables that are captured, and the schema of what was. */
  async function standing(): Promise<string[]> {
    const triggers = await ourTriggers(ways.source, 'bucardo');
    const { rows } = await ways.source.query(`SELECT nspname FROM pg_namespace WHERE nspname = 'bucardo'`);
    return [
      ...new Set(triggers.map(({ table }) => table)),
      ...(rows as { nspname: string }[]).map((row) => row.nspname),
    ];
  }

  it('has freed the others, and leaves none that refuses writes', async () => {
    const { state } = await ways.migration.context('brake');
    await state.setFact(OFF_FACT, { reason: REASON });
    const reader = await ways.migration.admin('source');
    await reader.query('BEGIN; SELECT FROM public.probe');
    await ways.kill('verify', async () => (await standing()).join() === '"public"."probe",bucardo');
    // A server does not notice that the client of a waiting statement is gone.
    await until(async () => {
      const left = await ways.source.query(`SELECT FROM pg_stat_activity WHERE application_name = 'ibex verify'`);
      return left.rowCount === 0;
    });
    await reader.query('COMMIT');
    await reader.end();
    expect(await standing()).toEqual(['"public"."probe"', 'bucardo']);
    await ways.source.query('INSERT INTO public.item VALUES (1)');
    expect(await ways.takesWrites('source')).toBe(true);
  });

  it('keeps nobody from cleanup while the table is busy: the supervisor tries once a look', async () => {
    const reader = await ways.migration.admin('source');
    await reader.query('BEGIN; SELECT FROM public.probe');
    await expect(guardQueues(ways.config)).rejects.toThrow('"public"."probe" was never free for 500 ms in 2 tries');
    await reader.query('COMMIT');
    await reader.end();
    expect(await standing()).toEqual(['"public"."probe"', 'bucardo']);
  });

  it('is finished by the supervisor, although no sync is wanted and the changes are few, and then left alone', async () => {
    await guardQueues(ways.config);
    expect(await standing()).toEqual([]);
    await guardQueues(ways.config);
    const { state } = await ways.migration.context('report');
    const evidence = (await state.allEvidence()).filter(({ gate }) => gate === 'capture taken off');
    expect(evidence).toMatchObject([{ passed: true, result: { reason: REASON } }]);
    expect(await ways.run('verify')).toEqual({ status: 1, output: `ibex: ${REFUSAL}` });
  });
});

it('files that may take long go after the triggers, and a kill in between leaves them to the next start', async () => {
  const { migration } = ways;
  await migration.fresh();
  const source = await migration.admin('source');
  await source.query('CREATE TABLE public.item (id int PRIMARY KEY)');
  const context = await migration.context('dump');
  await capture.run(context);
  const partial = `${rowArchive(migration.config.host.stateDirectory)}.partial.1`;
  mkdirSync(partial);
  const dying = intercept(await context.connect('source'), (text) =>
    text.startsWith('DROP SCHEMA') ? Promise.reject(new Error('killed')) : undefined,
  );
  await expect(takeCaptureOff(context, dying, REASON)).rejects.toThrow('killed');
  await context.close();
  expect(await ourTriggers(source, 'bucardo')).toEqual([]);
  expect(existsSync(partial)).toBe(true);

  const phase = { name: 'dump', after: [], once: false, run: () => Promise.resolve({ message: '' }) };
  await expect(runPhase(migration.config, phase)).rejects.toThrow(REFUSAL);
  expect((await source.query(`SELECT FROM pg_namespace WHERE nspname = 'bucardo'`)).rowCount).toBe(0);
  expect(existsSync(partial)).toBe(false);
});
