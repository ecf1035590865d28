import { join } from 'node:path';
import type { Lab } from '../lab';
import { SOURCE_OWNER, SOURCE_SUPERUSER } from '../lab/source';
import { TARGET_MASTER, TARGET_SUPERUSER } from '../lab/target';

/** What a shell takes as one word. */
const word = (text: string): string => (/^[\w./:=@-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

/** How to reach what `--keep` leaves up: commands to copy, with no password in them. */
export function connectionHelp(
  lab: Pick<Lab, 'directory' | 'source' | 'target' | 'hostPostgres' | 'application' | 'passwordFile' | 'environment'>,
): string[] {
  const { source, target, hostPostgres, application, passwordFile } = lab;
  const psql = (end: { host: string; port: number }, user: string, database = application.database): string =>
    `  psql -h ${word(end.host)} -p ${end.port} -U ${user} ${database}`;
  const home = lab.environment['IBEX_HOME'] ?? '';
  const variables = ['IBEX_HOME', 'IBEX_CONFIG', 'IBEX_REHEARSAL']
    .map((name) => `${name}=${word(lab.environment[name] ?? '')}`)
    .join(' ');
  return [
    'passwords, before the commands below:',
    `  export PGPASSFILE=${word(passwordFile)}`,
    'source, as its owner and as its superuser:',
    psql(source, SOURCE_OWNER),
    psql(source, SOURCE_SUPERUSER),
    'target, as its master user and as the superuser that RDS keeps to itself:',
    psql(target, TARGET_MASTER),
    psql(target, TARGET_SUPERUSER),
    'the address of the application:',
    psql(application, application.user),
    "the host's own PostgreSQL, with Ibex's state:",
    `  psql -h ${word(hostPostgres.host)} -p ${hostPostgres.port} -U ${word(lab.environment['USER'] ?? '')} -l`,
    'the host program:',
    `  env ${variables} ${word(join(home, 'bin', 'ibex'))} report`,
    `logs: ${lab.directory}/{source,target,host/postgres}/log, ${home}/state/log`,
  ];
}
