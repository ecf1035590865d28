import { setTimeout as sleep } from 'node:timers/promises';
import { bucardoProcesses } from '../../assets/agent/bucardo/daemon';
import type { AgentConfig } from '../../assets/agent/config';
import { Jobs } from '../../assets/agent/job';
import { isAlive } from '../../assets/agent/process';
import type { Server } from '../../lib/rehearsal/lab';
import type { Rehearsal } from '../../lib/rehearsal/rehearsal';
import { concludeRehearsal } from '../../lib/rehearsal/report';
import { openRehearsal } from '../helpers/rehearsal';

/** What is killed with SIGKILL, and what brings it back where nothing else would. */
type Victim = 'host program' | 'Bucardo' | 'source' | 'target';

/** Every victim of every phase, each once. Bucardo lives from sync to cutover. */
const PHASES: readonly (readonly [string, readonly Victim[]])[] = [
  ['assess', ['host program', 'source', 'target']],
  ['schema', ['host program', 'source', 'target']],
  ['capture', ['host program', 'source', 'target']],
  ['dump', ['host program', 'source', 'target']],
  ['restore', ['host program', 'source', 'target']],
  ['sync', ['host program', 'source', 'target', 'Bucardo']],
  ['verify', ['host program', 'source', 'target', 'Bucardo']],
  ['cutover', ['host program', 'source', 'target', 'Bucardo']],
  ['cleanup', ['host program', 'source', 'target']],
];

/** How long after the phase has begun its work the blow falls; milliseconds. */
const MOMENTS = [60, 150, 300, 600];

/** How long a server may take until the phase has a session on it; milliseconds. A phase may need none. */
const SESSION_TIMEOUT_MS = 3_000;

describe('whatever is killed in whatever phase, starting the runbook again ends with the same proof', () => {
  let rehearsal: Rehearsal;
  const felled = new Set<Victim>();
  const began = Date.now();

  beforeAll(async () => {
    rehearsal = await openRehearsal({ settings: { cutover: { budgetSeconds: 8 } } as unknown as Partial<AgentConfig> });
    await rehearsal.startWriters();
  });

  afterAll(async () => {
    await rehearsal?.close();
  });

  /** Waits until the phase works on a server, so that the blow falls in its midst. */
  async function untilConnected(server: Server): Promise<void> {
    const client = await server.admin();
    const deadline = Date.now() + SESSION_TIMEOUT_MS;
    try {
      for (let sessions = 0; sessions === 0 && Date.now() < deadline; await sleep(5)) {
        const { rows } = await client.query(
          `SELECT count(*)::int AS sessions FROM pg_stat_activity WHERE application_name LIKE 'ibex %' AND state <> 'idle'`,
        );
        sessions = (rows[0] as { sessions: number }).sessions;
      }
    } finally {
      await client.end();
    }
  }

  async function strike(victim: Victim, phase: string, delay: number): Promise<void> {
    const { lab } = rehearsal;
    if (victim === 'source' || victim === 'target') {
      await untilConnected(lab[victim]);
      await sleep(delay);
      await lab[victim].kill();
      await lab[victim].start();
      return;
    }
    await sleep(delay);
    const job = new Jobs(lab.config).read(phase)?.process.pid;
    const pids = victim === 'Bucardo' ? bucardoProcesses(lab.config.host) : job === undefined ? [] : [job];
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        continue;
      }
    }
  }

  /** A source that was started anew may have lost what the target has, and only a verify tells. */
  async function verifyIfAsked(failure: string | undefined): Promise<void> {
    if (failure?.includes('; start verify')) await rehearsal.run('verify');
  }

  async function untilStarted(phase: string, before: number): Promise<void> {
    const jobs = new Jobs(rehearsal.lab.config);
    for (;;) {
      const record = jobs.read(phase);
      if (record !== undefined && record.startedAt > before && (record.outcome || isAlive(record.process))) return;
      await sleep(10);
    }
  }

  test.each(PHASES)(
    '%s',
    async (phase, victims) => {
      for (const [index, victim] of victims.entries()) {
        const before = Date.now();
        const run = rehearsal.run(phase);
        await untilStarted(phase, before - 1);
        await strike(victim, phase, MOMENTS[index] ?? 100);
        const { status, failureMessage } = await run;
        if (status !== 'Success') felled.add(victim);
        await verifyIfAsked(failureMessage);
      }
      let result = await rehearsal.run(phase);
      for (let again = 0; result.status !== 'Success' && again < 2; again += 1) {
        await verifyIfAsked(result.failureMessage);
        result = await rehearsal.run(phase);
      }
      expect([result.status, result.failureMessage]).toEqual(['Success', undefined]);
    },
    240_000,
  );

  test('the blows did hit: each victim made some run fail, but for Bucardo, which is mostly brought back before anybody misses it', () => {
    expect([...felled]).toEqual(expect.arrayContaining(['host program', 'source', 'target']));
  });

  test('nothing is lost, and every row is equal', async () => {
    await sleep(2_000);
    const agent = await rehearsal.report();
    const writers = await rehearsal.stopWriters();
    const report = concludeRehearsal({ agent, writers, seconds: (Date.now() - began) / 1000 });
    expect(writers.verdict.examples).toEqual([]);
    expect(report.lostWrites).toBe(0);
    expect(report.rowsDifferent).toBe(0);
    expect(report.acknowledgedWrites).toBeGreaterThan(1_000);
    expect(agent.phases.filter(({ status }) => status !== 'succeeded')).toEqual([]);
  });
});
