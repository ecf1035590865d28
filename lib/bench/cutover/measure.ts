import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentConfig } from '../../../assets/agent/config';
import { Failure, oneLine } from '../../../assets/agent/errors';
import { DATABASE } from '../../rehearsal/lab/source';
import { Rehearsal } from '../../rehearsal/rehearsal';
import { clock } from '../../rehearsal/workload/pauses';
import { fillUp } from './ballast';
import type { Move, Way, WayResult } from './figures';

/** What is measured. */
export interface CutoverBenchOptions {
  /** Cutovers of each way, and as many rollbacks. */
  readonly cutovers: number;
  readonly scale: number;
  readonly connections: number;
  /** The writers' transactions per second, all together. */
  readonly rate: number;
  readonly sourceVersion: number;
  readonly targetVersion: number;
  /** Least size of the database. @default what `scale` gives */
  readonly bytes?: number;
  readonly log: (line: string) => void;
}

/** How long the application writes between two moves, so that each has something to move; milliseconds. */
const BETWEEN_MS = 1_500;

/** Starts of one move; a gate may block for a moment, while the sync of the new direction begins. */
const ATTEMPTS = 5;

/**
 * One migration whose writes are moved to the target and back, over and over. The first and the last move compare every
 * row as it stood in the pause; those between leave that out, since it takes time and no part in the pause.
 */
export async function measureWay(way: Way, options: CutoverBenchOptions, stop: AbortSignal): Promise<WayResult> {
  const { log } = options;
  const rehearsal = await Rehearsal.open({
    ...options,
    migration: 'heroku-to-aurora',
    copy: 'stream',
    pooler: way === 'pooler',
    rollback: true,
  });
  try {
    if (options.bytes !== undefined) await fillUp(rehearsal.lab, options.bytes);
    await rehearsal.startWriters();
    const moves: Move[] = [];
    let failure: unknown;
    let [compared, different, began] = [0, 0, 0];
    const keep = async (runbook: Move['runbook'], since: number, full: boolean): Promise<void> => {
      const move = await readMove(rehearsal, runbook, since);
      moves.push(move);
      compared += move.freeze?.rowsCompared ?? 0;
      different += move.freeze?.rowsDifferent ?? 0;
      if (full && move.freeze?.complete !== true)
        throw new Failure(`${runbook} ${moves.length}: not every row was compared`);
      log(
        `${way} ${moves.length}: ${runbook}, ${Math.round(move.pauseMs)} ms as the writers saw it, ${move.hostMs} ms as the host`,
      );
    };
    const errorsBefore: Record<string, number> = {};
    const { status, failureMessage } = await rehearsal.run('migrate', undefined, async ({ step }) => {
      if (step === 'approveCutover') {
        Object.assign(errorsBefore, rehearsal.statistics()?.clientErrorsBy);
        began = clock();
        return 'Approved';
      }
      if (step !== 'approveCleanup') return 'Approved';
      try {
        await keep('cutover', began, true);
        const all = 2 * options.cutovers;
        for (let n = 2; n <= all; n += 1) {
          compareAtFreeze(rehearsal, n === all);
          const runbook = n % 2 === 0 ? 'rollback' : 'cutover';
          await sleep(BETWEEN_MS, undefined, { signal: stop });
          await keep(runbook, await moveOnce(rehearsal, runbook, log), n === all);
        }
      } catch (error) {
        failure = error;
      }
      return 'Rejected';
    });
    stop.throwIfAborted();
    if (failure !== undefined) throw failure;
    if (moves.length === 0) throw new Failure(`the migration ended as ${status}: ${oneLine(failureMessage ?? '')}`);
    const bytes = await databaseBytes(rehearsal);
    const { statistics, verdict } = await rehearsal.stopWriters();
    const errors = Object.entries(statistics.clientErrorsBy)
      .map(([kind, count]) => [kind, count - (errorsBefore[kind] ?? 0)] as const)
      .filter(([, count]) => count > 0);
    return {
      way,
      moves,
      clientErrors: errors.reduce((sum, [, count]) => sum + count, 0),
      clientErrorsBy: Object.fromEntries(errors),
      acknowledgedWrites: verdict.acknowledgedWrites,
      lostWrites: verdict.lostWrites,
      rowsCompared: compared,
      rowsDifferent: different,
      bytes,
    };
  } finally {
    rehearsal.cancel();
    await rehearsal.close();
  }
}

/** Runs one move to its end. Returns when the run began that succeeded. */
async function moveOnce(rehearsal: Rehearsal, runbook: string, log: (line: string) => void): Promise<number> {
  for (let attempt = 1; ; attempt += 1) {
    const began = clock();
    const { status, failureMessage } = await rehearsal.run(runbook);
    if (status === 'Success') return began;
    const reason = `runbook ${runbook} ${status}: ${oneLine(failureMessage ?? '')}`;
    // Only what stopped nobody is tried again.
    if (attempt === ATTEMPTS || !reason.includes('cannot begin')) throw new Failure(reason);
    log(`${reason}; once more`);
    await sleep(BETWEEN_MS);
  }
}

async function readMove(rehearsal: Rehearsal, runbook: Move['runbook'], since: number) {
  const report = (await rehearsal.report())[runbook];
  if (!report) throw new Failure(`the host program has no result of ${runbook}`);
  const pauseMs = rehearsal.longestPause(since);
  return { runbook, pauseMs, hostMs: report.pauseMs, steps: report.steps, freeze: report.freeze };
}

/** Tells the host program whether its next run compares all rows. */
function compareAtFreeze({ lab }: Rehearsal, compare: boolean): void {
  const file = lab.environment['IBEX_CONFIG'] ?? '';
  const config = JSON.parse(readFileSync(file, 'utf8')) as AgentConfig;
  writeFileSync(file, JSON.stringify({ ...config, cutover: { ...config.cutover, compareAtFreeze: compare } }, null, 2));
}

async function databaseBytes({ lab }: Rehearsal): Promise<number> {
  const client = await lab[await lab.side()].admin(DATABASE);
  try {
    const { rows } = await client.query('SELECT pg_database_size(current_database())::float8 AS bytes');
    return (rows[0] as { bytes: number }).bytes;
  } finally {
    await client.end();
  }
}
