import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Account, writeOwned } from './account';
import type { HostPaths } from './host';

/**
 * What the profile document meets in the place of AWS's command line: it takes the values and writes the call down, and
 * knows no server that waits for a restart. Whatever else is asked fails.
 */
const AWS = `#!/bin/sh
case "$*" in
*' modify-db-parameter-group '* | *' modify-db-cluster-parameter-group '*)
  printf '%s\\n' "$*" >>"$IBEX_HOME/parameter-groups" ;;
*' describe-db-instances '* | *' describe-db-clusters '*) ;;
*) echo "the rehearsal has no AWS: aws $*" >&2; exit 254 ;;
esac
`;

/** Puts the stand-in for RDS's parameter groups where the host's commands find it. */
export function installParameterGroups(paths: HostPaths, account: Account): void {
  writeOwned(join(paths.home, 'bin', 'aws'), AWS, account, 0o755);
}

/** The values that a parameter was given so far, in order. @param home `IBEX_HOME` of the stand-in host */
export function valuesGiven(home: string, parameter: string): string[] {
  const file = join(home, 'parameter-groups');
  const calls = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
  return calls.flatMap((call) => {
    const json = /--parameters (\[.*\])$/.exec(call)?.[1] ?? '[]';
    const given = JSON.parse(json) as readonly { readonly ParameterName: string; readonly ParameterValue: string }[];
    return given.filter(({ ParameterName }) => ParameterName === parameter).map(({ ParameterValue }) => ParameterValue);
  });
}
