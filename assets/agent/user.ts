import { execFileSync } from 'node:child_process';
import { UsageError } from './errors';

/**
 * Becomes the operating-system user under which everything runs, when started by root: PostgreSQL and Bucardo refuse
 * root, and a password file of mode 0600 serves one user only.
 */
export function becomeUser(user: string | undefined): void {
  if (user === undefined || process.getuid?.() !== 0) return;
  let ids: { uid: number; gid: number; home: string };
  try {
    const entry = execFileSync('getent', ['passwd', user], { encoding: 'utf8' }).trim().split(':');
    ids = { uid: Number(entry[2]), gid: Number(entry[3]), home: entry[5] ?? '/' };
  } catch {
    throw new UsageError(
      `operating-system user ${user} does not exist; install PostgreSQL's server package, or correct host.user`,
    );
  }
  (process as NodeJS.Process & { initgroups(user: string, gid: number): void }).initgroups(user, ids.gid);
  process.setgid?.(ids.gid);
  process.setuid?.(ids.uid);
  process.env['HOME'] = ids.home;
  process.env['USER'] = user;
}
