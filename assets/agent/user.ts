import { execFileSync } from 'node:child_process';
import { UsageError } from './errors';

/** An account of the operating system. */
export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

/** The account to become: undefined when none is named, or when we are not root and so cannot. */
export function accountOf(user: string | undefined): Account | undefined {
  if (user === undefined || process.getuid?.() !== 0) return undefined;
  try {
    const entry = execFileSync('getent', ['passwd', user], { encoding: 'utf8' }).trim().split(':');
    return { name: user, uid: Number(entry[2]), gid: Number(entry[3]), home: entry[5] ?? '/' };
  } catch {
    throw new UsageError(
      `operating-system user ${user} does not exist; install PostgreSQL's server package, or correct host.user`,
    );
  }
}

/**
 * Becomes the operating-system user under which everything runs, when started by root: PostgreSQL and Bucardo refuse
 * root, and a password file of mode 0600 serves one user only.
 */
export function becomeUser(user: string | undefined): void {
  const account = accountOf(user);
  if (account === undefined) return;
  (process as NodeJS.Process & { initgroups(user: string, gid: number): void }).initgroups(account.name, account.gid);
  process.setgid?.(account.gid);
  process.setuid?.(account.uid);
  process.env['HOME'] = account.home;
  process.env['USER'] = account.name;
}
