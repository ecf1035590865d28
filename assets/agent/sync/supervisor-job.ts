import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentConfig } from '../config';
import { Jobs } from '../job';
import { isAlive } from '../process';

/** Name of the job that keeps Bucardo going. */
export const SUPERVISOR = 'supervise';

/** Starts the supervisor, unless it runs. */
export async function startSupervisor(config: AgentConfig): Promise<void> {
  await new Jobs(config).start(SUPERVISOR);
}

/** Ends the supervisor at once. It holds nothing that a kill would leave half done. */
export async function stopSupervisor(config: AgentConfig): Promise<void> {
  const record = new Jobs(config).read(SUPERVISOR);
  if (record === undefined) return;
  while (isAlive(record.process)) {
    try {
      process.kill(record.process.pid, 'SIGKILL');
    } catch {
      return;
    }
    await sleep(20);
  }
}

export const supervisorRuns = (config: AgentConfig): boolean => new Jobs(config).isRunning(SUPERVISOR);
