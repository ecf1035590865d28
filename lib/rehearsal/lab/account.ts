import { execFileSync } from 'node:child_process';
import { chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { Failure } from '../../../assets/agent/errors';

/** The operating-system account that owns servers and the stand-in host; PostgreSQL refuses to run as root. */
export interface Account {
  readonly name: string;
  /** What child processes and files are given; absent where they already are the caller's. */
  readonly ids?: { readonly uid: number; readonly gid: number };
}

const SERVER_ACCOUNT = 'postgres';

/** The caller's own account, or, for root, `postgres`, which Debian's package makes. Throws Failure without it. */
export function serverAccount(): Account {
  if (process.getuid?.() !== 0) return { name: userInfo().username };
  const number = (flag: string): number =>
    Number(execFileSync('id', [flag, SERVER_ACCOUNT], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
  try {
    return { name: SERVER_ACCOUNT, ids: { uid: number('-u'), gid: number('-g') } };
  } catch {
    throw new Failure(
      `the operating-system user ${SERVER_ACCOUNT} does not exist, and PostgreSQL refuses to run as root; install postgresql-15, or start as an ordinary user`,
    );
  }
}

/** Makes a directory that the account owns. @param mode permission bits @default 0o700 */
export function makeDirectory(path: string, account: Account, mode = 0o700): string {
  mkdirSync(path, { mode });
  giveTo(path, account);
  return path;
}

/** Writes a file that the account owns. @param mode permission bits @default 0o600 */
export function writeOwned(path: string, text: string, account: Account, mode = 0o600): void {
  writeFileSync(path, text, { mode });
  giveTo(path, account);
}

function giveTo(path: string, { ids }: Account): void {
  if (ids) chownSync(path, ids.uid, ids.gid);
}
