import { Jobs } from '../job';
import type { AgentConfig } from '../config';
import { oneLine } from '../errors';

/** How long one question for the end of the rollback waits; seconds. */
const POLL_SECONDS = 60;

const ROLLBACK = 'rollback';

/** How long the rollback takes at most from its decision to its begin: what a job may take to start; milliseconds. */
const START_MS = 30_000;

/** Whether somebody moves the writes back at this moment. */
export const rollbackRuns = (config: AgentConfig): boolean => new Jobs(config).isRunning(ROLLBACK);

/** Whether the newest rollback is the one decided at that time, although whoever decided it died before he saw it begin. */
export function followed(config: AgentConfig, decidedAt: string): boolean {
  const after = (new Jobs(config).read(ROLLBACK)?.startedAt ?? 0) - Date.parse(decidedAt);
  return after >= 0 && after <= START_MS;
}

/**
 * Starts the rollback as an operator would, as a job of its own that outlives this one, or joins the one that runs, and
 * waits for its end. Returns its status line.
 */
export async function rollBack(config: AgentConfig): Promise<string> {
  const jobs = new Jobs(config);
  try {
    await jobs.start(ROLLBACK);
    while (jobs.isRunning(ROLLBACK)) await jobs.wait(ROLLBACK, POLL_SECONDS);
    return jobs.line(ROLLBACK);
  } catch (error) {
    return `failed rollback: ${oneLine(error)}`;
  }
}
