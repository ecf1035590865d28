import { run, type RunOptions } from '../lab/run';

/** The whole environment of the programs that build machines; nothing of the caller's matters. */
const ENVIRONMENT = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LC_ALL: 'C.UTF-8',
  DEBIAN_FRONTEND: 'noninteractive',
};

/** Runs one of the system's programs as root; gives back its standard output. Throws ProgramFailure. */
export const system = (program: string, args: readonly string[], options: Partial<RunOptions> = {}): Promise<string> =>
  run(program, args, { ...options, environment: { ...ENVIRONMENT, ...options.environment } });
