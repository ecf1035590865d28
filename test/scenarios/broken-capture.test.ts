import type { Rehearsal } from '../../lib/rehearsal/rehearsal';
import { concludeRehearsal } from '../../lib/rehearsal/report';
import { openRehearsal, withSession } from '../helpers/rehearsal';

/** A trigger that somebody drops while the migration runs: changes of this table are lost to it from then on. */
describe('capture that is broken on purpose', () => {
  let rehearsal: Rehearsal;

  beforeAll(async () => {
    rehearsal = await openRehearsal({ rate: 40 });
    await rehearsal.startWriters();
    for (const phase of ['assess', 'schema', 'capture', 'dump', 'restore', 'sync', 'verify']) {
      const { status, failureMessage } = await rehearsal.run(phase);
      expect([phase, status, failureMessage]).toEqual([phase, 'Success', undefined]);
    }
    await onSource('DROP TRIGGER bucardo_delta ON public.pgbench_tellers');
  }, 180_000);

  afterAll(async () => {
    await rehearsal?.close();
  });

  const onSource = (statement: string): Promise<unknown> =>
    withSession(rehearsal, 'source', (source) => source.query(statement));

  test.each(['cutover', 'verify', 'sync', 'capture'])(
    '%s fails and names the table',
    async (phase) => {
      const { status, failureMessage } = await rehearsal.run(phase);
      expect(status).toBe('Failed');
      expect(failureMessage).toContain('"public"."pgbench_tellers" has no trigger "bucardo_delta"');
    },
    60_000,
  );

  test('a trigger that was made again is found out, since what changed in between is not known', async () => {
    await onSource(
      'CREATE TRIGGER bucardo_delta AFTER INSERT OR UPDATE OR DELETE ON public.pgbench_tellers FOR EACH ROW EXECUTE PROCEDURE bucardo.delta_public_pgbench_tellers()',
    );
    const { status, failureMessage } = await rehearsal.run('capture');
    expect(status).toBe('Failed');
    expect(failureMessage).toContain('"public"."pgbench_tellers" was dropped and made anew');
  });

  test('the application goes on at the source, and the rehearsal does not pass', async () => {
    const before = rehearsal.statistics()?.acknowledgedWrites ?? 0;
    while ((rehearsal.statistics()?.acknowledgedWrites ?? 0) < before + 100) await new Promise(setImmediate);
    expect(await rehearsal.lab.endpoint.side()).toBe('source');
    const agent = await rehearsal.report();
    const writers = await rehearsal.stopWriters();
    expect(writers.verdict.lostWrites).toBe(0);
    const { passed, reasons } = concludeRehearsal({ agent, writers, seconds: 1 });
    expect(passed).toBe(false);
    expect(reasons.join()).toContain('pgbench_tellers');
  });

  test('cleanup gives the source back as it was', async () => {
    const { status } = await rehearsal.run('cleanup');
    expect(status).toBe('Success');
    await withSession(rehearsal, 'source', async (source) => {
      const { rows } = await source.query(
        `SELECT (SELECT count(*) FROM pg_trigger WHERE tgname ~ '^(bucardo|ibex)')::int AS triggers,
           (SELECT count(*) FROM pg_namespace WHERE nspname IN ('bucardo', 'ibex'))::int AS schemas`,
      );
      expect(rows).toEqual([{ triggers: 0, schemas: 0 }]);
    });
  });
});
