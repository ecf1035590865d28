import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentConfig } from '../config';
import { moveFile, putFile, removeFile } from '../durable-file';
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

/** The same file while a run of ours applies instead, or has died at that. Means nothing beside the other one. */
const heldFile = (config: AgentConfig): string => join(config.host.stateDirectory, 'sync.held');

function directionIn(file: string): Direction | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8').trim();
  } catch {
    return undefined;
  }
  if (text === 'forward' || text === 'back') return text;
  throw new Failure(
    `${file} says neither forward nor back, but ${JSON.stringify(text.slice(0, 20))}: remove it, then start sync again or, where the target takes the writes, cutover`,
  );
}

/** In which direction the sync is wanted; undefined when it is not. Throws Failure when that cannot be told. */
export const wantedDirection = (config: AgentConfig): Direction | undefined => directionIn(wantedFile(config));

/**
 * A direction, or undefined also where it cannot be told, for whoever has other work to do then.
 *
 * @param tell told why. @default nobody
 */
export function ifTold(
  ask: () => Direction | undefined,
  tell: (why: unknown) => void = () => undefined,
): Direction | undefined {
  try {
    return ask();
  } catch (error) {
    tell(error);
    return undefined;
  }
}

/**
 * In which direction the sync is to go on unless the run for which it was stopped moves the writes; undefined while it is
 * wanted, and where nobody has stopped it so.
 */
export const heldDirection = (config: AgentConfig): Direction | undefined =>
  wantedDirection(config) === undefined ? directionIn(heldFile(config)) : undefined;

/** When the sync was asked for last; milliseconds since the epoch, undefined when it is neither wanted nor held. */
export const wantedSince = (config: AgentConfig): number | undefined =>
  (statSync(wantedFile(config), { throwIfNoEntry: false }) ?? statSync(heldFile(config), { throwIfNoEntry: false }))
    ?.mtimeMs;

/** Says that the sync is not wanted any more; the supervisor goes on without it. */
export function unwantSync(config: AgentConfig): void {
  removeFile(heldFile(config));
  removeFile(wantedFile(config));
}

/** Says that the sync that is held is wanted again; for the supervisor itself. One step, which needs no room. */
export const wantHeldSync = (config: AgentConfig): void => moveFile(heldFile(config), wantedFile(config));

/** Asks for the sync, and starts the supervisor where no unit does. */
export async function startSupervisor(config: AgentConfig, direction: Direction = 'forward'): Promise<void> {
  putFile(wantedFile(config), direction);
  removeFile(heldFile(config));
  if (!existsSync(UNIT_FILE)) {
    await new Jobs(config).start(SUPERVISOR);
    return;
  }
  const deadline = performance.now() + UNIT_TIMEOUT_MS;
  while (!new Jobs(config).isRunning(SUPERVISOR)) {
    if (performance.now() > deadline)
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
  await killSupervisor(config);
}

/**
 * The same for a run that applies in its stead. Whatever becomes of that, it stays known that the sync is to go on, until
 * it is asked for, or not wanted, any more.
 */
export async function holdSupervisor(config: AgentConfig): Promise<void> {
  if (wantedDirection(config) !== undefined) moveFile(wantedFile(config), heldFile(config));
  await killSupervisor(config);
}

async function killSupervisor(config: AgentConfig): Promise<void> {
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
