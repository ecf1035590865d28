import { spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** How a script ended. */
export interface ScriptResult {
  /** Exit status; -1 when it was killed. */
  readonly exitStatus: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Characters of both streams that the agent reads. */
const READ = { stdout: 24_000, stderr: 8_000 } as const;

/**
 * Runs a shell script in a process group of its own, as the agent does. When the signal is raised the whole group is
 * killed at once, without a chance to clean up. Both streams go to files, so that a process that the script leaves
 * behind does not hold up its end.
 */
export async function runScript(
  script: string,
  options: { readonly environment: Readonly<Record<string, string>>; readonly directory: string },
  signal: AbortSignal,
): Promise<ScriptResult> {
  const work = mkdtempSync(join(tmpdir(), 'ibex-command-'));
  const stdout = openSync(join(work, 'stdout'), 'w+');
  const stderr = openSync(join(work, 'stderr'), 'w+');
  try {
    const exitStatus = await new Promise<number>((resolve, reject) => {
      const child = spawn('/bin/sh', ['-c', script], {
        detached: true,
        env: options.environment,
        cwd: options.directory,
        stdio: ['ignore', stdout, stderr],
      });
      const kill = (): void => killGroup(child.pid);
      child.on('error', reject);
      child.on('exit', (status) => {
        signal.removeEventListener('abort', kill);
        resolve(status ?? -1);
      });
      if (signal.aborted) kill();
      else signal.addEventListener('abort', kill, { once: true });
    });
    return { exitStatus, stdout: start(stdout, READ.stdout), stderr: start(stderr, READ.stderr) };
  } finally {
    closeSync(stdout);
    closeSync(stderr);
    rmSync(work, { recursive: true, force: true });
  }
}

function killGroup(leader: number | undefined): void {
  if (leader === undefined) return;
  try {
    process.kill(-leader, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function start(file: number, bytes: number): string {
  const buffer = Buffer.alloc(bytes);
  return buffer.toString('utf8', 0, readSync(file, buffer, 0, bytes, 0));
}
