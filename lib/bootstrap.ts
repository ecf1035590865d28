import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserData } from 'aws-cdk-lib/aws-ec2';
import { ROOT } from './bundle';
import type { ResolvedSettings } from './settings';

/** Text of a script in assets, without its first line. */
const bodyOf = (...path: string[]): string => {
  const script = readFileSync(join(ROOT, 'assets', ...path), 'utf8');
  return script.slice(script.indexOf('\n') + 1);
};

/** What the bootstraps are told of the SSM agent. */
export const agentValues = ({ ssmAgent }: ResolvedSettings['host']): Readonly<Record<string, string>> => ({
  IBEX_SSM_AGENT_VERSION: ssmAgent.version,
  IBEX_SSM_AGENT_SHA256: ssmAgent.sha256 ?? '',
});

/**
 * User data of a machine: values as exported variables, what all bootstraps share, and the bootstrap of this kind of
 * machine, as they stand in assets.
 */
export function bootstrap(machine: 'host' | 'pooler', values: Readonly<Record<string, string>>): UserData {
  const exports = Object.entries(values).map(([name, value]) => `export ${name}='${value}'\n`);
  return UserData.custom(
    ['#!/usr/bin/env bash\n', ...exports, bodyOf('bootstrap', 'common.sh'), bodyOf(machine, 'bootstrap.sh')].join(''),
  );
}
