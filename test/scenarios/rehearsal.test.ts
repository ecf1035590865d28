import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readFenceState } from '../../assets/agent/fence/objects';
import { valuesGiven } from '../../lib/rehearsal/lab/parameter-groups';
import type { ExecutionResult } from '../../lib/rehearsal/automation/result';
import type { Rehearsal, WritersResult } from '../../lib/rehearsal/rehearsal';
import { concludeRehearsal, type AgentReport } from '../../lib/rehearsal/report';
import { openRehearsal, withSession } from '../helpers/rehearsal';

describe('a whole migration of a living database, 11 to 17, by the runbooks of the template', () => {
  let rehearsal: Rehearsal;
  let execution: ExecutionResult;
  let agent: AgentReport;
  let writers: WritersResult;
  const approvals: string[] = [];

  beforeAll(async () => {
    rehearsal = await openRehearsal({ rate: 100 });
    await rehearsal.startWriters();
    execution = await rehearsal.run('migrate', undefined, (request) => {
      approvals.push(request.step);
      return Promise.resolve('Approved');
    });
    await sleep(2_000);
    agent = await rehearsal.report();
    writers = await rehearsal.stopWriters();
  }, 240_000);

  afterAll(async () => {
    await rehearsal?.close();
  });

  test('succeeds, asking for approval before cutover and before cleanup', () => {
    expect([execution.status, execution.failureMessage]).toEqual(['Success', undefined]);
    expect(approvals).toEqual(['approveCutover', 'approveCleanup']);
  });

  test('tunes the target for the load, and for the applications before they come', () => {
    const home = rehearsal.lab.environment['IBEX_HOME'] ?? '';
    expect(valuesGiven(home, 'max_parallel_maintenance_workers')).toEqual(['4', '2']);
  });

  test('passes: every phase, nothing lost, every row equal, rows by copy, catch-up and Bucardo', () => {
    const report = concludeRehearsal({ agent, writers, seconds: 1 });
    expect([report.reasons, writers.verdict.examples]).toEqual([[], []]);
    expect(report.passed).toBe(true);
    expect(report.acknowledgedWrites).toBeGreaterThan(1_000);
    expect(report.rowsCompared).toBeGreaterThan(100_000);
  });

  test('stops writes once, for less than the budget, and the clients saw it', () => {
    expect(agent.cutover?.pauseMs).toBeLessThan(10_000);
    expect(agent.cutover?.steps.map(({ step }) => step)).toEqual([
      'hold clients',
      'fence',
      'drain',
      'prove',
      'compare',
      'sequences',
      'hold snapshots',
      'switch',
      'point of no return',
      'last look',
      'open',
      'let clients go on',
    ]);
    expect(writers.pause.longestMs).toBeGreaterThan((agent.cutover?.pauseMs ?? Infinity) / 2);
  });

  test('leaves the source without a trace of capture, but closed', async () => {
    await withSession(rehearsal, 'source', async (source) => {
      const { rows } = await source.query(
        `SELECT (SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'bucardo%')::int AS triggers,
           (SELECT count(*) FROM pg_namespace WHERE nspname = 'bucardo')::int AS schemas`,
      );
      expect(rows).toEqual([{ triggers: 0, schemas: 0 }]);
      expect(await readFenceState(source)).toEqual({ kind: 'final' });
      await expect(source.query(`DELETE FROM shop.wish`)).rejects.toMatchObject({ code: '25006' });
    });
  });

  test('leaves the target without a trace of the migration, open, and with sequences ahead', async () => {
    await withSession(rehearsal, 'target', async (target) => {
      const { rows } = await target.query(
        `SELECT (SELECT count(*) FROM pg_namespace WHERE nspname IN ('ibex', 'bucardo'))::int AS schemas,
           (SELECT count(*) FROM pg_trigger WHERE tgname = 'ibex_fence')::int AS fences,
           (SELECT count(*) FROM pg_roles WHERE rolname = 'ibex_bucardo')::int AS roles,
           (SELECT count(*) FROM pg_constraint WHERE NOT convalidated AND conname NOT LIKE '%not_valid%')::int AS invalid`,
      );
      expect(rows).toEqual([{ schemas: 0, fences: 0, roles: 0, invalid: 0 }]);
      const ahead = await target.query(
        `SELECT nextval(pg_get_serial_sequence('public.pgbench_history', 'id')) AS next, max(id) AS max FROM public.pgbench_history`,
      );
      const { next, max } = ahead.rows[0] as { next: string; max: string };
      expect(Number(next)).toBeGreaterThan(Number(max));
    });
  });

  test('keeps every password out of logs, job records, reports and Bucardo', () => {
    const { lab } = rehearsal;
    const secrets = readdirSync(join(lab.directory, 'host', 'secrets')).map(
      (name) =>
        (JSON.parse(readFileSync(join(lab.directory, 'host', 'secrets', name), 'utf8')) as { password: string })
          .password,
    );
    expect(secrets.length).toBeGreaterThanOrEqual(3);
    const texts = [JSON.stringify(agent), JSON.stringify(execution), ...filesBelow(lab.config.host.stateDirectory)];
    for (const secret of secrets) {
      const forms = [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret)];
      expect(texts.filter((text) => forms.some((form) => text.includes(form)))).toEqual([]);
    }
    expect(readdirSync(lab.config.host.runDirectory).filter((name) => name.endsWith('.pgpass'))).toEqual([]);
  });
});

function filesBelow(directory: string): string[] {
  return readdirSync(directory).flatMap((name) => {
    const path = join(directory, name);
    return statSync(path).isDirectory() ? filesBelow(path) : [readFileSync(path, 'latin1')];
  });
}
