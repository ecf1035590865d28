import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { bucardoProcesses } from '../../assets/agent/bucardo/daemon';
import { Jobs } from '../../assets/agent/job';
import { DATABASE } from '../../lib/rehearsal/lab/source';
import type { Rehearsal } from '../../lib/rehearsal/rehearsal';
import { concludeRehearsal } from '../../lib/rehearsal/report';
import { openRehearsal } from '../helpers/rehearsal';

describe('rows that Bucardo itself copies, while writers go on', () => {
  let rehearsal: Rehearsal;
  let target: Client;
  const began = Date.now();

  beforeAll(async () => {
    rehearsal = await openRehearsal({ copy: 'onetimecopy' });
    await rehearsal.startWriters();
    for (const phase of ['assess', 'schema', 'capture']) await expectSuccess(phase);
    target = await rehearsal.lab.target.admin(DATABASE);
  }, 120_000);

  afterAll(async () => {
    await target?.end();
    await rehearsal?.close();
  });

  async function expectSuccess(phase: string): Promise<void> {
    const { status, failureMessage } = await rehearsal.run(phase);
    expect([phase, status, failureMessage]).toEqual([phase, 'Success', undefined]);
  }

  /** Session of Bucardo that waits at the trigger. */
  async function waiting(): Promise<number | undefined> {
    const { rows } = await target.query(
      `SELECT pid FROM pg_stat_activity WHERE usename = 'ibex_bucardo' AND wait_event = 'advisory'`,
    );
    return (rows[0] as { pid: number } | undefined)?.pid;
  }

  async function untilWaiting(running: { ended: boolean }, other?: number): Promise<number | undefined> {
    for (;;) {
      const pid = await waiting();
      if (running.ended || (pid !== undefined && pid !== other)) return pid;
      await sleep(20);
    }
  }

  /** Starts the phase, and tells when it has ended. */
  function start(): { ended: boolean; readonly run: ReturnType<Rehearsal['run']> } {
    const running = { ended: false, run: rehearsal.run('copy') };
    void running.run.finally(() => (running.ended = true));
    return running;
  }

  test('killed with SIGKILL in the midst, the phase leaves a Bucardo behind, which its next run ends first', async () => {
    await target.query(`
      CREATE FUNCTION pg_temp.wait() RETURNS trigger LANGUAGE plpgsql
        AS 'BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END';
      CREATE TRIGGER wait BEFORE DELETE ON shop.customer FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.wait();
      ALTER TABLE shop.customer ENABLE ALWAYS TRIGGER wait;
      SELECT pg_advisory_lock(1)`);
    const { host } = rehearsal.lab.config;
    const killed = start();
    const left = await untilWaiting(killed);
    expect(left).toBeDefined();
    process.kill(new Jobs(rehearsal.lab.config).read('copy')?.process.pid ?? 0, 'SIGKILL');
    expect((await killed.run).status).not.toBe('Success');
    expect([bucardoProcesses(host).length > 0, await waiting()]).toEqual([true, left]);

    const again = start();
    expect(await untilWaiting(again, left)).not.toBe(left);
    await target.query('SELECT pg_advisory_unlock(1)');
    const { status, failureMessage } = await again.run;
    expect([status, failureMessage]).toEqual(['Success', undefined]);
    await target.query('DROP TRIGGER wait ON shop.customer');
    const { rows } = await target.query(
      `SELECT rolcanlogin AS may, (SELECT count(*)::int FROM pg_stat_activity WHERE usename = rolname) AS sessions
       FROM pg_roles WHERE rolname = 'ibex_bucardo'`,
    );
    expect([bucardoProcesses(host), rows]).toEqual([[], [{ may: false, sessions: 0 }]]);
  }, 120_000);

  test('what was written meanwhile is there in the end, and every row is equal', async () => {
    for (const phase of ['sync', 'verify', 'cutover']) await expectSuccess(phase);
    const agent = await rehearsal.report();
    const writers = await rehearsal.stopWriters();
    const report = concludeRehearsal({ agent, writers, seconds: (Date.now() - began) / 1000 });
    expect(writers.verdict.examples).toEqual([]);
    expect([report.lostWrites, report.rowsDifferent]).toEqual([0, 0]);
    expect(report.acknowledgedWrites).toBeGreaterThan(500);
  }, 180_000);
});
