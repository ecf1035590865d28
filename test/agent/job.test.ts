import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AgentConfig } from '../../assets/agent/config';
import { Jobs, type JobRecord } from '../../assets/agent/job';
import { identify, isAlive, type ProcessIdentity } from '../../assets/agent/process';
import { ProgressReport } from '../../assets/agent/progress';
import { setBackClock } from '../helpers/clock';

let stateDirectory: string;
let jobs: Jobs;
const children: ChildProcess[] = [];
beforeEach(() => {
  stateDirectory = mkdtempSync(join(tmpdir(), 'ibex-jobs-'));
  jobs = new Jobs({ migration: 'test', host: { stateDirectory } } as unknown as AgentConfig);
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(stateDirectory, { recursive: true, force: true });
});

/** A process that does nothing, under its identity. */
function somebody(): { child: ChildProcess; identity: ProcessIdentity } {
  const child = spawn('sleep', ['60']);
  children.push(child);
  return { child, identity: identify(child.pid as number) as ProcessIdentity };
}

function record(process: ProcessIdentity, rest: Partial<JobRecord> = {}): void {
  mkdirSync(join(stateDirectory, 'jobs'), { recursive: true });
  const whole: JobRecord = { phase: 'dump', process, startedAt: Date.now(), ...rest };
  writeFileSync(join(stateDirectory, 'jobs', 'dump.json'), JSON.stringify(whole));
}

const end = async (child: ChildProcess): Promise<void> => {
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
};

describe('a process', () => {
  it('is alive under its own start time only, so that its number given to another is not taken for it', () => {
    const { identity } = somebody();
    expect(isAlive(identity)).toBe(true);
    expect(isAlive({ ...identity, started: String(Number(identity.started) - 1) })).toBe(false);
    expect(isAlive({ ...identity, boot: 'of yesterday' })).toBe(false);
  });

  it('is not alive when it has ended, even as a zombie', async () => {
    const { child, identity } = somebody();
    child.kill('SIGKILL');
    while (isAlive(identity)) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(identify(2 ** 22 + 1)).toBeUndefined();
  });
});

describe('the state of a job', () => {
  it('is told in one line: running with its progress, then how it ended', async () => {
    const { identity } = somebody();
    record(identity);
    expect(jobs.line('dump')).toBe('running dump');
    new ProgressReport(stateDirectory, 'dump').report(30, 120, 'rows', 'public.item');
    expect(jobs.line('dump')).toBe('running dump: 25% 30/120 rows, public.item');
    record(identity, { outcome: { status: 'failed', message: 'the disk is full', endedAt: 1 } });
    expect(jobs.line('dump')).toBe('failed dump: the disk is full');
    record(identity, { outcome: { status: 'succeeded', message: '3 tables', endedAt: 1 } });
    expect(jobs.line('dump')).toBe('succeeded dump: 3 tables');
  });

  it('does not show the progress of an earlier run', () => {
    new ProgressReport(stateDirectory, 'dump').report(30, 120, 'rows', '');
    record(somebody().identity, { startedAt: Date.now() + 1 });
    expect(jobs.line('dump')).toBe('running dump');
  });

  it('is failed, with the way on, when its process is gone or its number is another process now', async () => {
    const { child, identity } = somebody();
    record({ ...identity, started: '1' });
    const line = `failed dump: process ${identity.pid} ended without a word (killed, or the host restarted); start the runbook again, it resumes`;
    expect(jobs.isRunning('dump')).toBe(false);
    expect(jobs.line('dump')).toBe(line);
    record(identity);
    expect(jobs.isRunning('dump')).toBe(true);
    await end(child);
    expect(jobs.line('dump')).toBe(line);
  });

  it('is failed when its record cannot be read', () => {
    mkdirSync(join(stateDirectory, 'jobs'), { recursive: true });
    writeFileSync(join(stateDirectory, 'jobs', 'dump.json'), '{"phase":');
    expect(jobs.line('dump')).toBe('failed dump: it was never started here; start its runbook');
  });
});

describe('waiting for a job', () => {
  it('ends as soon as the job does', async () => {
    const { child, identity } = somebody();
    record(identity);
    const begun = Date.now();
    setTimeout(() => child.kill('SIGKILL'), 300);
    expect(await jobs.wait('dump', 30)).toMatch(/^failed dump: process/);
    expect(Date.now() - begun).toBeLessThan(5_000);
  });

  it('ends when its time is over, also when the clock is set back meanwhile, with the job running on', async () => {
    record(somebody().identity);
    const clock = setBackClock();
    const begun = performance.now();
    expect(await jobs.wait('dump', 1)).toBe('running dump');
    expect(performance.now() - begun).toBeGreaterThanOrEqual(990);
    clock.mockRestore();
    expect(await jobs.wait('dump', 0)).toBe('running dump');
  });
});

describe('the record of a job', () => {
  it('belongs to the process that began it: another that ends does not write over it', () => {
    jobs.begin('dump');
    expect(jobs.line('dump')).toBe('running dump');
    jobs.end('dump', 'succeeded', 'all');
    expect(jobs.line('dump')).toBe('succeeded dump: all');
    const { identity } = somebody();
    record(identity);
    jobs.end('dump', 'failed', 'somebody else');
    expect(jobs.line('dump')).toBe('running dump');
  });

  it('is started by one at a time; the marker of a dead starter does not count', async () => {
    record(somebody().identity);
    const marker = join(stateDirectory, 'jobs', 'dump.starting');
    writeFileSync(marker, '');
    const waiting = jobs.start('dump');
    const first = await Promise.race([waiting, new Promise((resolve) => setTimeout(() => resolve('waits'), 300))]);
    expect(first).toBe('waits');
    const old = Date.now() / 1000 - 60;
    utimesSync(marker, old, old);
    expect(await waiting).toBe('running dump');
  });

  it('is started at once when whoever was starting it is dead, but not while what that launched may still begin', async () => {
    const [starter, launched] = [somebody(), somebody()];
    mkdirSync(join(stateDirectory, 'jobs'), { recursive: true });
    const marker = join(stateDirectory, 'jobs', 'dump.starting');
    writeFileSync(marker, JSON.stringify([starter.identity, launched.identity]));
    await end(starter.child);
    const waiting = jobs.start('dump');
    const first = await Promise.race([waiting, new Promise((resolve) => setTimeout(() => resolve('waits'), 300))]);
    expect(first).toBe('waits');
    record(launched.identity);
    expect(await waiting).toBe('running dump');
    writeFileSync(marker, JSON.stringify([starter.identity]));
    expect(await jobs.start('dump')).toBe('running dump');
    expect(existsSync(marker)).toBe(false);
  });
});
