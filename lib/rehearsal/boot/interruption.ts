import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { Failure } from '../../../assets/agent/errors';
import { ROOT } from '../../bundle';
import { until } from '../lab/processes';
import type { Narrator } from './narrator';
import { system } from './programs';
import { machineProcesses, sweepWorkspaces, workspaceOf } from './workspace';

const NAME = 'signals';
const BOOT_MS = 180_000;
const END_MS = 60_000;

/** What a run has on this machine while its machine runs. */
async function left(workspace: string): Promise<string[]> {
  const loops = await system('losetup', ['--list', '--noheadings', '--output', 'NAME,BACK-FILE']);
  return [
    ...machineProcesses(workspace).map((pid) => `process ${pid}`),
    ...loops.split('\n').filter((line) => line.includes(workspace)),
    ...readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter((line) => line.includes(workspace)),
    ...(existsSync(workspace) ? [workspace] : []),
  ];
}

/** A run of this command in a process of its own, from when its machine boots. */
async function startRun(): Promise<{ child: ChildProcess; workspace: string }> {
  const child = spawn(process.execPath, [...process.execArgv, join(ROOT, 'bin', 'test-host.ts'), 'archive'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  let workspace: string | undefined;
  const boots = (): boolean => {
    workspace ??= child.pid === undefined ? undefined : workspaceOf(child.pid);
    // systemd-nspawn, and the first process of the machine.
    return child.exitCode !== null || (workspace !== undefined && machineProcesses(workspace).length > 1);
  };
  if (!(await until(boots, BOOT_MS, 100)) || workspace === undefined || child.exitCode !== null) {
    child.kill('SIGTERM');
    throw new Failure(`a run that is to be interrupted boots no machine in ${BOOT_MS / 1000} s`);
  }
  return { child, workspace };
}

async function endOf(child: ChildProcess): Promise<string> {
  const ended = await until(() => child.exitCode !== null || child.signalCode !== null, END_MS, 50);
  return ended ? (child.signalCode ?? String(child.exitCode)) : 'still runs';
}

/** Ends runs of this command while a machine of theirs runs, as people and kernels do, and looks at what they leave. */
export async function interruption(narrator: Narrator): Promise<void> {
  const say = (line: string): void => narrator.say(NAME, line);
  const check = narrator.check.bind(narrator, NAME);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const { child, workspace } = await startRun();
    const before = await left(workspace);
    say(`${signal} to a run that has ${before.length} things here`);
    child.kill(signal);
    const status = await endOf(child);
    check(`${signal} ends a run as a shell expects`, status === String(128 + constants.signals[signal]), status);
    const after = await left(workspace);
    check('and leaves no machine, mount, loop device or file', after.length === 0, after);
  }
  const { child, workspace } = await startRun();
  child.kill('SIGKILL');
  await endOf(child);
  const orphans = await left(workspace);
  check(
    'SIGKILL leaves a machine and its volume',
    orphans.some((line) => line.includes('.img')),
    orphans,
  );
  await sweepWorkspaces(say);
  const after = await left(workspace);
  check('which the start of the next run takes away', after.length === 0, after);
}
