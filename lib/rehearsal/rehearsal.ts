import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { AgentConfig } from '../../assets/agent/config';
import { Failure, oneLine } from '../../assets/agent/errors';
import { readProgress, type Progress } from '../../assets/agent/progress';
import type { CopyMethod } from '../phases';
import type { ApprovalRequest } from './automation/actions/approve';
import type { AutomationEvent, ExecutionResult } from './automation/result';
import { RdsServer } from './aws/rds-server';
import { openLab, type Lab } from './lab';
import type { AgentReport } from './report';
import { Runbooks } from './runbooks';
import { checkLedger, type Verdict } from './workload/check-ledger';
import { clock, type Pause } from './workload/pauses';
import type { TableReport, WorkloadStatistics } from './workload/statistics';
import { startWorkload, type Workload } from './workload/workload';

const execute = promisify(execFile);

/** What a rehearsal is told. */
export interface RehearsalOptions {
  /** Name of the migration whose runbooks are run, from migrations/. */
  readonly migration: string;
  readonly sourceVersion: number;
  readonly targetVersion: number;
  /** pgbench's scale. */
  readonly scale: number;
  /** The writers' transactions per second, all together. */
  readonly rate: number;
  /** The writers' connections. */
  readonly connections: number;
  /** A dump that takes the place of the example data. */
  readonly dump?: string;
  /** How the rows get to the target. @default 'dump' */
  readonly copy?: CopyMethod;
  /** Whether the writers reach the servers through a pooler. @default false */
  readonly pooler?: boolean;
  /** Whether the way back is armed, so that writes can be moved back and forth again. @default false */
  readonly rollback?: boolean;
  /** Overrides of the host program's settings. */
  readonly settings?: Partial<AgentConfig>;
  /** Takes a line about something that takes its time. */
  readonly log: (line: string) => void;
}

/** The phase copy goes by the settings of the host program. */
const withCopy = (settings: Partial<AgentConfig> = {}, method: CopyMethod): Partial<AgentConfig> =>
  // Sections are merged field by field.
  ({ ...settings, copy: { ...settings.copy, method } as AgentConfig['copy'] });

/** What the writers saw, and what the final database holds of it. */
export interface WritersResult {
  readonly statistics: WorkloadStatistics;
  readonly tables: readonly TableReport[];
  readonly verdict: Verdict;
  /** The longest write pause since the cutover began, as the writers saw it. */
  readonly pause: Pause;
}

/** A migration on this machine: a lab, an application that writes, and the runbooks of the synthesized template. */
export class Rehearsal {
  private workload: Workload | undefined;
  private cutoverAt: number | undefined;
  private cancelRunbook: () => void = () => undefined;

  private constructor(
    readonly options: RehearsalOptions,
    readonly lab: Lab,
    private readonly runbooks: Runbooks,
  ) {}

  static async open(options: RehearsalOptions): Promise<Rehearsal> {
    const settings = options.copy === undefined ? options.settings : withCopy(options.settings, options.copy);
    const lab = await openLab({ ...options, settings, wayBack: options.rollback === true });
    try {
      options.log('synthesizing the runbooks');
      const assembly = join(lab.directory, 'cdk.out');
      mkdirSync(assembly);
      return new Rehearsal(options, lab, Runbooks.synthesize(options.migration, assembly));
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  private get ledger(): string {
    return join(this.lab.directory, 'ledger');
  }

  /** Starts the application. It is told one address, and never of the migration. */
  async startWriters(): Promise<void> {
    this.workload = await startWorkload({
      address: this.lab.application,
      connections: this.options.connections,
      rate: this.options.rate,
      ledger: this.ledger,
      tables: this.options.dump === undefined ? 'example' : 'generic',
    });
  }

  /** What the clients wait from here on is waited because of the moves of writes. */
  private cutoverBegins(): void {
    if (this.cutoverAt !== undefined) return;
    this.cutoverAt = clock();
    this.workload?.mark();
  }

  statistics(): WorkloadStatistics | undefined {
    return this.workload?.statistics();
  }

  /** The longest time without any acknowledged write that ended after an instant of `clock()`; milliseconds. */
  longestPause(since: number): number {
    return this.workload?.pauses(since).longestMs ?? 0;
  }

  /** Runs a runbook to its end. Its phases' starts and ends are told to `onEvent`. */
  async run(
    runbook: string,
    onEvent: (event: AutomationEvent) => void = () => undefined,
    approve: (request: ApprovalRequest) => Promise<'Approved' | 'Rejected'> = () => Promise.resolve('Approved'),
  ): Promise<ExecutionResult> {
    const watch = (event: AutomationEvent): void => {
      if (event.kind === 'execution-started' && event.documentName.endsWith('-cutover')) this.cutoverBegins();
      onEvent(event);
    };
    const { environment, directory } = this.lab;
    const parameters = runbook === 'migrate' ? { CopyMethod: this.options.copy ?? 'dump' } : {};
    const rds = await RdsServer.start();
    const account = { approve, onEvent: watch, aws: rds };
    const execution = this.runbooks.run(runbook, environment, directory, account, parameters);
    const outer = this.cancelRunbook;
    this.cancelRunbook = () => {
      execution.cancel();
      outer();
    };
    return execution.done.finally(() => {
      this.cancelRunbook = outer;
      return rds.close();
    });
  }

  /**
   * Lets the application write to the target for a while, moves the writes back to the source, lets it write there, and
   * moves them to the target again. Throws Failure with the runbook that did not succeed.
   *
   * @param show runs the work of each runbook, which comes to a line
   */
  async thereAndBack(
    writeMs: number,
    show: (runbook: string, work: () => Promise<string>) => Promise<unknown>,
  ): Promise<void> {
    for (const runbook of ['rollback', 'cutover']) {
      await sleep(writeMs);
      await show(runbook, async () => {
        const { status, failureMessage } = await this.run(runbook);
        if (status !== 'Success') throw new Failure(`runbook ${runbook} ${status}: ${oneLine(failureMessage ?? '')}`);
        return (await this.agent('job', 'result', runbook)).trim().replace(/^succeeded \w+: /, '');
      });
    }
    await sleep(writeMs);
  }

  /** Cancels the runbook that runs, as the console would; jobs on the host go on. */
  cancel(): void {
    this.cancelRunbook();
  }

  /** How far a phase is, from the file that it writes; undefined when it has not said yet. */
  progress(phase: string): Progress | undefined {
    return readProgress(this.lab.config.host.stateDirectory, phase);
  }

  /** Runs the host program as the Command document would, and returns what it prints. */
  async agent(...args: string[]): Promise<string> {
    const program = join(this.lab.environment['IBEX_HOME'] ?? '', 'bin', 'ibex');
    try {
      const { stdout } = await execute(program, args, {
        env: { ...this.lab.environment },
        cwd: this.lab.directory,
        maxBuffer: 256 * 1024 * 1024,
      });
      return stdout;
    } catch (error) {
      const { stderr } = error as { stderr?: string };
      throw new Failure(`ibex ${args.join(' ')}: ${oneLine((stderr ?? '').trim() || error)}`);
    }
  }

  /** The host program's evidence. */
  async report(): Promise<AgentReport> {
    return JSON.parse(await this.agent('report')) as AgentReport;
  }

  /** Stops the application and holds its ledger against the database that it ends on. */
  async stopWriters(): Promise<WritersResult> {
    if (!this.workload) throw new Failure('the writers were never started');
    const pause = this.workload.pauses(this.cutoverAt);
    const statistics = await this.workload.stop();
    const side = await this.lab.side();
    const client = await this.lab.connect(side);
    try {
      return { statistics, tables: this.workload.tables(), verdict: await checkLedger(this.ledger, client), pause };
    } finally {
      await client.end();
    }
  }

  /** Ends everything and removes it. Safe to call at any time, and twice. */
  async close(): Promise<void> {
    await this.workload?.stop().catch(() => undefined);
    await this.lab.close();
  }
}
