import { UsageError } from '../../../assets/agent/errors';
import { serverAccount } from './account';
import { buildLab } from './build';
import { reachableNode } from './cache';
import { clientTools } from './client-tools';
import { detectDump } from './dump-format';
import { createLabDirectory, removeLabDirectory, sweepStale } from './lab-directory';
import { DEBIAN_PACKAGES, ensurePackages } from './packages';
import { freePorts } from './ports';
import { postgresPrograms } from './postgres-programs';
import type { Lab, LabOptions } from './types';

export { ensurePackages } from './packages';
export { sweepStale } from './lab-directory';
export type { Endpoint } from './endpoint';
export type { Side } from './endpoint-process';
export type { Server, ServerRole } from './server';
export type { ApplicationAddress, Lab, LabOptions } from './types';

/**
 * Opens a lab: servers on free ports of 127.0.0.1 in a directory of its own, the source filled, the target as RDS
 * hands it out. What an earlier run left behind because it was killed is removed first. When it fails, nothing stays.
 */
export async function openLab(options: LabOptions): Promise<Lab> {
  checkVersions(options);
  if (options.dump !== undefined) detectDump(options.dump);
  if (options.pooler && process.getuid?.() !== 0) {
    throw new UsageError('the pooler runs in a Debian 13 of its own, which only root can enter; start this as root');
  }
  const { log } = options;
  await sweepStale(log);
  ensurePackages(log, undefined, undefined, [...DEBIAN_PACKAGES, ...(options.pooler ? ['mmdebstrap'] : [])]);
  const account = serverAccount();
  const programs = {
    source: await postgresPrograms(options.sourceVersion, log),
    target: await postgresPrograms(options.targetVersion, log),
    tools: await clientTools(options.sourceVersion, log),
    node: await reachableNode(),
  };
  const ports = await freePorts(6);
  const directory = createLabDirectory(ports);
  open.add(directory);
  try {
    return await buildLab(options, { account, programs, directory, ports }, () => remove(directory));
  } catch (error) {
    await remove(directory);
    throw error;
  }
}

/** Labs that this process has open or is opening, and those that it is removing. */
const open = new Set<string>();
const closing = new Map<string, Promise<void>>();

/** Removes every lab of this process, also one that is still being opened: what Ctrl-C calls. */
export async function closeAllLabs(): Promise<void> {
  await Promise.all([...open].map(remove));
}

/** Whoever asks again waits for the same end. */
function remove(directory: string): Promise<void> {
  const end = closing.get(directory) ?? removeLabDirectory(directory).finally(() => open.delete(directory));
  closing.set(directory, end);
  return end;
}

function checkVersions({ sourceVersion, targetVersion, scale }: LabOptions): void {
  const check = (what: string, value: number, from: number, to: number): void => {
    if (Number.isInteger(value) && value >= from && value <= to) return;
    throw new UsageError(`${what} ${value}: must be a whole number from ${from} to ${to}`);
  };
  check('source version', sourceVersion, 10, 17);
  check('target version', targetVersion, 15, 18);
  check('scale', scale, 1, 10_000);
  if (targetVersion < sourceVersion) {
    throw new UsageError(
      `target version ${targetVersion} is older than the source's ${sourceVersion}; migrations go forward only`,
    );
  }
}
