import { Failure } from '../../../assets/agent/errors';
import { DEBIAN_POSTGRES } from './packages';

/**
 * Directory with pg_dump, pg_restore and psql that can read a source of this major version: Debian 12's own, which know
 * servers up to 15.
 */
export async function clientTools(version: number, _log: (line: string) => void): Promise<string> {
  if (version <= 15) return DEBIAN_POSTGRES;
  throw new Failure(`version ${version}`);
}
