import { existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentConfig } from '../config';
import type { Direction } from '../endpoints';
import { Failure } from '../errors';
import { Jobs } from '../job';
import { isAlive } from '../process';

/** Name of the job that keeps Bucardo going. */
export const SUPERVISOR = 'supervise';

/** systemd's unit for it on the Bucardo host, which is there from boot and starts it again whenever it ends. */
const UNIT_FILE = '/etc/systemd/system/ibex-supervise.service';

/** How long the unit may take to bring the process up; milliseconds. */
const UNIT_TIMEOUT_MS = 60_000;

/** Exists as long as the sync is wanted, over reboots too, and holds its direction. */
const wantedFile = (config: AgentConfig): string => join(config.host.stateDirectory, 'sync.wanted');

/** In which direction the sync is wanted; undefined when it is not. */
export function wantedDirection(config: AgentConfig): Direction | undefined {
  try {
    return readFileSync(wantedFile(config), 'utf8').trim() === 'back' ? 'back' : 'forward';
  } catch {
    return undefined;
  }
}

/** When the sync was asked for last; milliseconds since the epoch, undefined when it is not wanted. */
export const wantedSince = (config: AgentConfig): number | undefined =>
  statSync(wantedFile(config), { throwIfNoEntry: false })?.mtimeMs;

/** Says that the sync is not wanted any more; the supervisor goes on without it. */
export const unwantSync = (config: AgentConfig): void => rmSync(wantedFile(config), { force: true });

/** Asks for the sync, and starts the supervisor where no unit does. */
export async function startSupervisor(config: AgentConfig, direction: Direction = 'forward'): Promise<void> {
  // A reader must never find the file there and empty: that would be the other direction.
  writeFileSync(`${wantedFile(config)}.new`, direction);
  renameSync(`${wantedFile(config)}.new`, wantedFile(config));
  if (!existsSync(UNIT_FILE)) {
    await new Jobs(config).start(SUPERVISOR);
    return;
  }
  const deadline = Date.now() + UNIT_TIMEOUT_MS;
  while (!new Jobs(config).isRunning(SUPERVISOR)) {
    if (Date.now() > deadline)
      throw new Failure('ibex-supervise.service does not run; look at it with systemctl status');
    await sleep(200);
  }
}

/**
 * Ends the supervisor at once. It holds nothing that a kill would leave half done. A unit starts it again, but then the
 * sync is not wanted any more.
 */
export async function stopSupervisor(config: AgentConfig): Promise<void> {
  unwantSync(config);
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

/** Whether the sync is wanted in this direction and somebody keeps it going. */
export const supervisorRuns = (config: AgentConfig, direction: Direction = 'forward'): boolean =>
  wantedDirection(config) === direction && new Jobs(config).isRunning(SUPERVISOR);
