import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import type { HostConfig } from '../config';
import { connectToHost } from '../connect';
import { Failure } from '../errors';
import { signalAll } from '../process';
import { endOrphans } from './login';
import { BUCARDO_DATABASE } from './names';
import { logDirectory, pidDirectory, processTag, runBucardo } from './program';

/**
 * How long Bucardo may take until the controllers of all syncs run; milliseconds. Before, it asks both ends a dozen
 * questions of each relation, one after the other, and they may be far away.
 */
export const startTimeout = (relations: number): number => 60_000 + 300 * relations;

/** Processes of this host's Bucardo, by the tag in their titles. */
export function bucardoProcesses(host: HostConfig): number[] {
  const tag = `(${processTag(host)})`;
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const title = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
        return title.startsWith('Bucardo ') && title.includes(tag);
      } catch {
        return false;
      }
    })
    .map(Number);
}

/** Titles of this host's Bucardo, which tell what each process is, and for which sync. */
function bucardoTitles(host: HostConfig): { readonly pid: number; readonly title: string }[] {
  return bucardoProcesses(host).flatMap((pid) => {
    try {
      return [{ pid, title: readFileSync(`/proc/${pid}/cmdline`, 'utf8') }];
    } catch {
      return [];
    }
  });
}

/** Whether the master and a controller run, which Bucardo itself does not notice when they do not. */
export function bucardoRuns(host: HostConfig): boolean {
  const titles = bucardoTitles(host);
  return (
    titles.some(({ title }) => title.startsWith('Bucardo Master')) &&
    titles.some(({ title }) => title.startsWith('Bucardo Controller'))
  );
}

/** Processes of one sync: its controller, and the kid that moves its rows. */
export function syncProcesses(host: HostConfig, sync: string): { controller: number[]; kid: number[] } {
  const own = bucardoTitles(host).filter(({ title }) => title.includes(` Sync "${sync}"`));
  const pids = (kind: string): number[] => own.filter(({ title }) => title.startsWith(kind)).map(({ pid }) => pid);
  return { controller: pids('Bucardo Controller'), kid: pids('Bucardo Kid') };
}

/**
 * Starts one sync anew beside the others: its processes are killed, their sessions on the ends are seen to be gone, and
 * the master, if that is alive, makes a new controller within seconds.
 */
export async function restartSync(
  host: HostConfig,
  sync: string,
  ends: { readonly source: Client; readonly target: Client },
): Promise<void> {
  const { controller, kid } = syncProcesses(host, sync);
  signalAll([...controller, ...kid], 'SIGKILL');
  await endOrphans(ends, () => bucardoProcesses(host));
  rmSync(controllerFile(host, sync), { force: true });
  const client = await connectToHost(host, BUCARDO_DATABASE);
  try {
    await client.query(
      `UPDATE bucardo.syncrun SET ended = now(), lastbad = true, status = 'killed: it was stuck'
      WHERE sync = $1 AND ended IS NULL`,
      [sync],
    );
  } finally {
    await client.end();
  }
}

const controllerFile = (host: HostConfig, sync: string): string =>
  join(pidDirectory(host), `bucardo.ctl.sync.${sync}.pid`);

/**
 * Kills every process of Bucardo on this host. `bucardo stop` only asks, and a child within a query does not hear it.
 * Its sessions on the servers may live on: they are ended by expelBucardo and endSourceSessions.
 */
export async function killBucardo(host: HostConfig): Promise<void> {
  for (let pids = bucardoProcesses(host); pids.length > 0; pids = bucardoProcesses(host)) {
    signalAll(pids, 'SIGKILL');
    await sleep(20);
  }
  if (existsSync(pidDirectory(host))) {
    for (const file of readdirSync(pidDirectory(host))) rmSync(join(pidDirectory(host), file), { force: true });
  }
}

/** Sets all syncs active or inactive in Bucardo's database; a running daemon does not notice. */
export async function setSyncStatus(host: HostConfig, status: 'active' | 'inactive'): Promise<void> {
  const client = await connectToHost(host, BUCARDO_DATABASE);
  try {
    await client.query('UPDATE bucardo.sync SET status = $1', [status]);
    await client.query(`UPDATE bucardo.db SET status = 'active'`);
  } finally {
    await client.end();
  }
}

/**
 * Starts Bucardo and waits until each sync's controller runs. Throws Failure with the last lines of its log.
 *
 * @param relations how many there are in all syncs
 */
export async function startBucardo(host: HostConfig, syncs: readonly string[], relations: number): Promise<void> {
  await runBucardo(host, [
    'start',
    '--exit-on-nosync',
    '--sendmail=0',
    '--quiet',
    `--extraname=${processTag(host)}`,
    `--logdest=${logDirectory(host)}`,
  ]);
  const began = Date.now();
  const missing = (): string[] => syncs.filter((sync) => !existsSync(controllerFile(host, sync)));
  while (!bucardoRuns(host) || missing().length > 0) {
    const waited = Date.now() - began;
    if (waited > startTimeout(relations) || (await gone(host))) {
      throw new Failure(
        `Bucardo does not replicate (${missing().join(', ')}) ${Math.round(waited / 1000)} s after its start: ${lastWords(host)}`,
      );
    }
    await sleep(100);
  }
}

/** Whether Bucardo has ended; looked at twice, since it changes its process while it starts. */
async function gone(host: HostConfig): Promise<boolean> {
  for (let look = 0; look < 20; look += 1) {
    if (bucardoProcesses(host).length > 0) return false;
    await sleep(100);
  }
  return true;
}

/** The last lines of Bucardo's log, in one. */
export function lastWords(host: HostConfig): string {
  try {
    const lines = readFileSync(join(logDirectory(host), 'log.bucardo'), 'utf8')
      .trim()
      .split('\n');
    return lines.slice(-4).join(' | ').slice(-600);
  } catch {
    return 'it wrote no log';
  }
}
