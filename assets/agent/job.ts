import { execFileSync, spawn } from 'node:child_process';
import {
  chownSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { AgentConfig } from './config';
import { Failure, oneLine } from './errors';
import { explainHost, overwrite } from './host-volume';
import { identify, isAlive, type ProcessIdentity } from './process';
import { describe, readProgress } from './progress';
import { accountOf } from './user';

/** What is written about the newest run of a phase, in `jobs/<phase>.json`. */
export interface JobRecord {
  readonly phase: string;
  readonly process: ProcessIdentity;
  readonly startedAt: number;
  readonly outcome?: { readonly status: 'succeeded' | 'failed'; readonly message: string; readonly endedAt: number };
}

/** Longest time until a started process has written its record; milliseconds. */
const START_TIMEOUT_MS = 20_000;
const POLL_MS = 100;

/** When the marker of a starter is taken for that of a dead one; milliseconds. */
const MARKER_TIMEOUT_MS = START_TIMEOUT_MS + 5_000;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** The jobs of one host: each phase at most once at a time, detached from whoever asked for it. */
export class Jobs {
  private readonly directory: string;

  constructor(private readonly config: AgentConfig) {
    this.directory = join(config.host.stateDirectory, 'jobs');
    makeOwned(config.host.stateDirectory, config.host.user);
    makeOwned(this.directory, config.host.user);
  }

  private file(phase: string): string {
    return join(this.directory, `${phase}.json`);
  }

  read(phase: string): JobRecord | undefined {
    try {
      return JSON.parse(readFileSync(this.file(phase), 'utf8')) as JobRecord;
    } catch {
      return undefined;
    }
  }

  private write(record: JobRecord): void {
    const path = this.file(record.phase);
    const fresh = `${path}.${process.pid}`;
    try {
      writeFileSync(fresh, JSON.stringify(record));
      renameSync(fresh, path);
    } catch (error) {
      rmSync(fresh, { force: true });
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC' || !overwrite(path, JSON.stringify(record)))
        throw explainHost(this.config.host, error);
    }
  }

  /** Called by the process that runs the phase, before its work. */
  begin(phase: string): void {
    const identity = identify(process.pid);
    if (identity) this.write({ phase, process: identity, startedAt: Date.now() });
  }

  /** Called by the process that ran the phase, after its work. */
  end(phase: string, status: 'succeeded' | 'failed', message: string): void {
    const record = this.read(phase);
    if (record?.process.pid === process.pid) {
      this.write({ ...record, outcome: { status, message, endedAt: Date.now() } });
    }
  }

  /** Forgets how jobs ended, as if they had never been started here; one that runs is left. */
  forget(isMeant: (phase: string) => boolean): void {
    for (const file of readdirSync(this.directory)) {
      const phase = /^(\w+)\.json$/.exec(file)?.[1];
      if (phase !== undefined && isMeant(phase) && !this.isRunning(phase)) rmSync(this.file(phase), { force: true });
    }
  }

  isRunning(phase: string): boolean {
    const record = this.read(phase);
    return record !== undefined && record.outcome === undefined && isAlive(record.process);
  }

  /**
   * Starts the phase as a detached unit, unless it runs already or is being started. Returns the status line.
   *
   * @param flags of its command line. @default none
   */
  async start(phase: string, flags: readonly string[] = []): Promise<string> {
    const marker = await this.claimStart(phase);
    try {
      return this.isRunning(phase) ? this.line(phase) : await this.startNow(phase, flags);
    } catch (error) {
      throw explainHost(this.config.host, error);
    } finally {
      rmSync(marker, { force: true });
    }
  }

  /**
   * Waits until nobody else starts the phase: of two started at once the later would write over what is known of the
   * earlier, and then fail. The marker of a starter that was killed counts no more, unless what it launched may still
   * begin.
   */
  private async claimStart(phase: string): Promise<string> {
    const marker = join(this.directory, `${phase}.starting`);
    for (;;) {
      try {
        writeFileSync(marker, JSON.stringify([identify(process.pid)]), { flag: 'wx' });
        return marker;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') {
          // One without a content would hold up the next starter.
          rmSync(marker, { force: true });
          throw explainHost(this.config.host, error);
        }
      }
      const since = statSync(marker, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
      if (Date.now() - since > MARKER_TIMEOUT_MS || this.isAbandoned(marker, phase)) rmSync(marker, { force: true });
      else await sleep(POLL_MS);
    }
  }

  private isAbandoned(marker: string, phase: string): boolean {
    try {
      const [starter, launched] = JSON.parse(readFileSync(marker, 'utf8')) as (ProcessIdentity | undefined)[];
      if (!starter || isAlive(starter)) return false;
      return !launched || !isAlive(launched) || this.isRunning(phase);
    } catch {
      return false;
    }
  }

  private async startNow(phase: string, flags: readonly string[]): Promise<string> {
    const before = this.read(phase);
    const launched = launch(this.config, [phase, ...flags], join(this.directory, `${phase}.out`));
    const marks = [identify(process.pid), launched.pid === undefined ? undefined : identify(launched.pid)];
    writeFileSync(join(this.directory, `${phase}.starting`), JSON.stringify(marks));
    const deadline = performance.now() + START_TIMEOUT_MS;
    while (performance.now() < deadline) {
      const record = this.read(phase);
      if (record !== undefined && record.startedAt !== before?.startedAt)
        return `started ${phase} as process ${record.process.pid}`;
      if (launched.exited()) break;
      await sleep(POLL_MS);
    }
    throw new Failure(
      `${phase} did not start: ${lastLine(join(this.directory, `${phase}.out`)) || 'it wrote nothing'}`,
    );
  }

  /** Waits until the job has ended, at most so long, and returns its status line. */
  async wait(phase: string, seconds: number): Promise<string> {
    const deadline = performance.now() + seconds * 1000;
    while (this.isRunning(phase) && performance.now() < deadline)
      await sleep(Math.min(POLL_MS, deadline - performance.now()));
    return this.line(phase);
  }

  /** One line that starts with running, succeeded or failed. */
  line(phase: string): string {
    const record = this.read(phase);
    if (record === undefined) return `failed ${phase}: it was never started here; start its runbook`;
    if (record.outcome) return `${record.outcome.status} ${phase}: ${record.outcome.message}`;
    if (!isAlive(record.process)) {
      return `failed ${phase}: process ${record.process.pid} ended without a word (killed, or the host restarted); start the runbook again, it resumes`;
    }
    const progress = readProgress(this.config.host.stateDirectory, phase);
    const fresh = progress !== undefined && progress.at >= record.startedAt;
    return fresh ? `running ${phase}: ${describe(progress)}` : `running ${phase}`;
  }
}

function launch(
  config: AgentConfig,
  command: readonly string[],
  output: string,
): { exited(): boolean; pid?: number | undefined } {
  const [phase] = command;
  const program = process.argv[1] ?? '';
  if (isSystemd() && process.getuid?.() === 0) {
    try {
      execFileSync('systemd-run', [
        `--unit=ibex-${config.migration}-${phase}`,
        '--collect',
        '--quiet',
        // Bucardo, started within a job, must outlive it.
        '--property=KillMode=process',
        `--property=StandardOutput=truncate:${output}`,
        `--property=StandardError=append:${output}`,
        ...environment().map((pair) => `--setenv=${pair}`),
        process.execPath,
        program,
        ...command,
      ]);
    } catch (error) {
      throw new Failure(`${phase} did not start: ${oneLine(error)}`);
    }
    return { exited: () => false };
  }
  const log = openSync(output, 'w', 0o640);
  let ended = false;
  const child = spawn(process.execPath, [program, ...command], { detached: true, stdio: ['ignore', log, log] });
  child.once('exit', () => (ended = true));
  child.unref();
  return { exited: () => ended, pid: child.pid };
}

/** The few variables that the program reads; the rest of the caller's environment stays behind. */
const environment = (): string[] =>
  Object.entries(process.env).flatMap(([name, value]) =>
    name === 'PATH' || name.startsWith('IBEX_') ? [`${name}=${value}`] : [],
  );

/** Makes a directory; when root does it, for the user under whom the work runs. */
function makeOwned(directory: string, user: string | undefined): void {
  if (existsSync(directory)) return;
  mkdirSync(directory, { recursive: true });
  const account = accountOf(user);
  if (account) chownSync(directory, account.uid, account.gid);
}

/** Whether systemd is the first process, so that units can be had. */
export function isSystemd(): boolean {
  try {
    return readFileSync('/proc/1/comm', 'utf8').trim() === 'systemd';
  } catch {
    return false;
  }
}

function lastLine(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim().split('\n').at(-1) ?? '';
  } catch {
    return '';
  }
}
