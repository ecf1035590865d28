import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { oneLine } from '../../../assets/agent/errors';
import type { Console } from '../../command-line';
import { raised } from '../automation/clock';
import type { ExecutionResult } from '../automation/result';
import { closeAllLabs } from '../lab';
import { Rehearsal } from '../rehearsal';
import { concludeRehearsal, type RehearsalReport } from '../report';
import { connectionHelp } from './connections';
import { whenAborted } from './interruption';
import type { RehearseOptions } from './options';
import { PhaseWatch } from './phase-watch';
import { toJson, writeReport } from './report-files';
import { Secrets } from './secrets';
import { renderSummary } from './summary';
import { count, stylesFor, type Output } from './text';
import { createView, type View } from './view';

/** How long the application goes on writing to the target once the migration has ended; milliseconds. */
const AFTERWARDS_MS = 3000;
/** Longest wait for work that was cut short to notice it; milliseconds. */
const SETTLE_MS = 5000;

const LONG_MS = 60_000;

/**
 * A whole rehearsal, from the lab to the verdict. Whatever happens, everything that it started is ended and removed
 * before it returns or throws.
 *
 * @param stop ends it; its reason is then thrown, except after the verdict
 * @returns exit status: 0 if the report passed, else 1
 */
export async function rehearse(options: RehearseOptions, console: Console, stop: AbortSignal): Promise<number> {
  const run = new Run(options, options.json ? console.err : console.out, stop);
  const report = run.toEnd();
  try {
    const ended = await Promise.race([report, whenAborted(stop)]);
    run.show(ended);
    if (options.json) console.out.write(toJson(ended));
    if (options.keep) await run.keep();
    return ended.passed ? 0 : 1;
  } finally {
    await run.tearDown(report);
  }
}

const judged = ({ acknowledgedWrites, lostWrites }: RehearsalReport): string =>
  `${count(acknowledgedWrites)} acknowledged writes looked for, ${count(lostWrites)} lost`;

class Run {
  private readonly view: View;
  private rehearsal: Rehearsal | undefined;
  private secrets = new Secrets([]);

  constructor(
    private readonly options: RehearseOptions,
    private readonly screen: Output,
    private readonly stop: AbortSignal,
  ) {
    this.view = createView(screen, {
      progress: (phase) => this.rehearsal?.progress(phase),
      writers: () => this.rehearsal?.statistics(),
    });
  }

  async toEnd(): Promise<RehearsalReport> {
    const began = Date.now();
    const rehearsal = await this.stage(
      'prepare',
      () => this.open(),
      () => this.prepared(),
    );
    const watch = new PhaseWatch(this.view);
    const failures: string[] = [];
    const result = await rehearsal.run('migrate', watch.onEvent, async ({ step }) => {
      if (!this.options.rollback || step !== 'approveCleanup') return 'Approved';
      try {
        await rehearsal.thereAndBack(this.options.between * 1000, (name, work) =>
          this.stage(name, work, (line) => line),
        );
        return 'Approved';
      } catch (error) {
        failures.push(oneLine(error));
        return 'Rejected';
      }
    });
    this.stop.throwIfAborted();
    return this.stage('judge', () => this.judge(rehearsal, result, began, failures), judged);
  }

  /** Says how it ended, and writes it down. */
  show(report: RehearsalReport): void {
    this.view.close();
    const { report: directory } = this.options;
    const state = this.rehearsal?.lab.config.host.stateDirectory ?? '';
    const file = directory && writeReport(directory, report, join(state, 'log'), this.secrets);
    const width = Math.min(this.screen.columns || 80, 120);
    for (const line of renderSummary(report, stylesFor(this.screen), width, file)) this.say(line);
  }

  /** Leaves everything up until somebody wants the end. */
  async keep(): Promise<void> {
    if (!this.rehearsal) return;
    this.say('');
    for (const line of connectionHelp(this.rehearsal.lab)) this.say(line);
    this.say('Everything is up until this program ends: Ctrl-C removes it.');
    // Nothing else may be left that this process waits for, and a signal's handler does not count.
    const alive = setInterval(() => undefined, LONG_MS);
    await raised(this.stop);
    clearInterval(alive);
  }

  async tearDown(work: Promise<unknown>): Promise<void> {
    this.view.close();
    if (this.stop.aborted) this.say(`${oneLine(this.stop.reason)}: ending writers and servers, removing their files`);
    this.rehearsal?.cancel();
    // The work notices that its servers are gone; only then is it sure to start nothing any more.
    const noticed = Promise.race([work.catch(() => undefined), sleep(SETTLE_MS, undefined, { ref: false })]);
    await Promise.all([closeAllLabs().then(() => noticed), this.rehearsal?.close()]);
    await closeAllLabs();
  }

  /** Work of ours around the phases, shown like one. @param message what it came to */
  private async stage<T>(name: string, work: () => Promise<T>, message: (result: T) => string): Promise<T> {
    const began = performance.now();
    this.view.phaseStarted(name);
    const end = (succeeded: boolean, text: string): void =>
      this.view.phaseEnded({ name, succeeded, seconds: (performance.now() - began) / 1000, message: text });
    try {
      const result = await work();
      end(true, message(result));
      return result;
    } catch (error) {
      end(false, '');
      throw error;
    }
  }

  private prepared(): string {
    const { sourceVersion, targetVersion, scale, dump, connections, rate } = this.options;
    const data = dump === undefined ? `scale ${scale}` : 'your dump';
    return `PostgreSQL ${sourceVersion} with ${data}, ${targetVersion} as the target; ${connections} writers, ${rate}/s`;
  }

  private async open(): Promise<Rehearsal> {
    const rehearsal = await Rehearsal.open({
      ...this.options,
      pooler: this.options.switch === 'pooler',
      log: (line) => this.view.line(line),
    });
    this.rehearsal = rehearsal;
    this.stop.throwIfAborted();
    this.secrets = Secrets.ofFile(rehearsal.lab.passwordFile);
    await rehearsal.startWriters();
    return rehearsal;
  }

  private async judge(
    rehearsal: Rehearsal,
    result: ExecutionResult,
    began: number,
    failures: string[],
  ): Promise<RehearsalReport> {
    const attempt = async <T>(what: string, work: () => Promise<T>): Promise<T | undefined> => {
      try {
        return await work();
      } catch (error) {
        failures.push(`${what}: ${oneLine(error)}`);
        return undefined;
      }
    };
    const writesAfterEnd = result.status === 'Success' ? await this.writesFromNow(rehearsal) : undefined;
    const agent = await attempt('evidence of the host program', () => rehearsal.report());
    const writers = await attempt('judging the writers', () => rehearsal.stopWriters());
    const failedPhase = agent?.phases.some(({ status }) => status === 'failed') ?? false;
    // A failed phase has said it better than the runbooks around it.
    if (result.status !== 'Success' && !failedPhase) {
      failures.unshift(`runbook migrate ${result.status}: ${oneLine(result.failureMessage ?? 'it gave no reason')}`);
    }
    const seconds = (Date.now() - began) / 1000;
    const { rollback } = this.options;
    const outcome = {
      agent,
      writers,
      seconds,
      failures,
      rollback,
      ...(writesAfterEnd === undefined ? {} : { writesAfterEnd }),
    };
    const hidden = this.secrets.hideIn({ agent, writers });
    if (this.secrets.found > 0) failures.push(`${this.secrets.found} texts of the evidence held a password`);
    return this.secrets.hideIn(concludeRehearsal({ ...outcome, ...hidden }));
  }

  /** Lets the application go on for a while, and counts. */
  private async writesFromNow(rehearsal: Rehearsal): Promise<number> {
    const writes = (): number => rehearsal.statistics()?.acknowledgedWrites ?? 0;
    const before = writes();
    await sleep(AFTERWARDS_MS);
    return writes() - before;
  }

  private say(text: string): void {
    this.screen.write(`${this.secrets.hide(text)}\n`);
  }
}
