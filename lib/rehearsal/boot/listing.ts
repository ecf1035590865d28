import { RERUN_UNIT } from './bootstrap';
import type { Machine } from './machine';

/**
 * Everything that a run of the user data could change, one line each: files by checksum, links, owners and modes of
 * what is configured and installed, packages, units with their states, mounts, clusters.
 */
export async function listMachine(machine: Machine): Promise<string[]> {
  return (await machine.shell(LISTING)).split('\n');
}

/** Times are left out, and what the system itself rewrites as it runs. */
const LISTING = `
places=(/etc /opt /usr/local /database/ibex /var/lib/postgresql)
find "\${places[@]}" -type f ! -path '/etc/mtab' -exec sha256sum {} + | sort -k 2
find "\${places[@]}" -printf '%p %y %m %u:%g %l\\n' | sort
dpkg-query -W -f '\${Package} \${Version} \${db:Status-Abbrev}\\n'
systemctl list-unit-files --no-legend --no-pager | grep -v '^${RERUN_UNIT}'
systemctl list-units --all --plain --no-legend --no-pager --type=service,timer,mount | awk '{ print $1, $2, $3 }' |
  grep -v -e '^${RERUN_UNIT}' -e '^cloud-' -e '^run-' -e '^user' -e '^session'
findmnt --noheadings --output TARGET,FSTYPE,OPTIONS /database
pg_lsclusters --no-header
xfs_info /database
`;

/** Lines that only one of both has, marked like a diff; none when nothing has changed. */
export function difference(before: readonly string[], after: readonly string[]): string[] {
  const [old, fresh] = [new Set(before), new Set(after)];
  return [
    ...before.filter((line) => !fresh.has(line)).map((line) => `- ${line}`),
    ...after.filter((line) => !old.has(line)).map((line) => `+ ${line}`),
  ];
}
