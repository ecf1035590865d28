import { join } from 'node:path';
import { chmodSync, chownSync } from 'node:fs';
import type { AgentConfig } from '../../../assets/agent/config';
import type { PoolerConfig } from '../../../assets/agent/switch/config';
import { ON_ONE_MACHINE, withOverrides } from '../one-machine';
import { type Account, makeDirectory, writeOwned } from './account';
import { LAB_VARIABLE } from './processes';
import { APPLICATION_LOGIN, DATABASE } from './source';

/** A secret as Secrets Manager keeps it for a database. */
export interface DatabaseSecret {
  readonly username: string;
  readonly password: string;
  readonly host?: string;
  readonly port?: number;
  readonly dbname?: string;
}

/** The directories of the stand-in host. */
export interface HostPaths {
  readonly home: string;
  readonly secrets: string;
  readonly state: string;
  readonly run: string;
  readonly configuration: string;
  readonly bundle: string;
}

/** Makes the directories of the stand-in host, which its account owns. */
export function makeHost(home: string, account: Account): HostPaths {
  makeDirectory(home, account, 0o755);
  for (const name of ['bin', 'lib']) makeDirectory(join(home, name), account, 0o755);
  return {
    home,
    secrets: makeDirectory(join(home, 'secrets'), account),
    state: makeDirectory(join(home, 'state'), account),
    run: makeDirectory(join(home, 'run'), account),
    configuration: join(home, 'ibex.json'),
    bundle: join(home, 'lib', 'ibex.cjs'),
  };
}

/** Puts the host program where `ibex` finds it. @param node Node, where the account can run it @param bundle writes the program */
export function installProgram(paths: HostPaths, account: Account, node: string, bundle: (file: string) => void): void {
  bundle(paths.bundle);
  chmodSync(paths.bundle, 0o755);
  if (account.ids) chownSync(paths.bundle, account.ids.uid, account.ids.gid);
  writeOwned(join(paths.home, 'bin', 'ibex'), `#!/bin/sh\nexec '${node}' '${paths.bundle}' "$@"\n`, account, 0o755);
}

/** Writes what Secrets Manager would hold, one file a secret. */
export function writeSecrets(
  paths: HostPaths,
  account: Account,
  secrets: Readonly<Record<string, DatabaseSecret>>,
): void {
  for (const [name, secret] of Object.entries(secrets)) {
    writeOwned(join(paths.secrets, name), JSON.stringify(secret), account);
  }
}

/** The only environment that commands on the stand-in host are given. */
export function hostEnvironment(paths: HostPaths, account: Account, lab: string, node: string): Record<string, string> {
  return {
    PATH: `${join(paths.home, 'bin')}:${join(node, '..')}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
    HOME: paths.home,
    USER: account.name,
    LC_ALL: 'C.UTF-8',
    TZ: 'UTC',
    IBEX_HOME: paths.home,
    IBEX_CONFIG: paths.configuration,
    IBEX_STATE: paths.state,
    [LAB_VARIABLE]: lab,
  };
}

/** Stands in for what an application would ask of its database to know that it is well. */
const PROBE = 'SELECT count(*) > 0 FROM pg_catalog.pg_class';

/** What the host program of the rehearsal is told, apart from the tuning that a caller overrides. */
export function hostConfig(
  paths: HostPaths,
  account: Account,
  facts: {
    postgres: { host: string; port: number };
    clientTools: string;
    switchCommand: readonly string[];
    pooler: PoolerConfig | undefined;
    wayBack: boolean;
    /** Where the target writes its log. */
    targetLog: string;
  },
): AgentConfig {
  return {
    migration: 'rehearsal',
    secrets: { kind: 'directory', path: paths.secrets },
    source: { secret: 'source', sslmode: 'disable' },
    target: { secret: 'target', database: DATABASE, sslmode: 'disable', logFile: facts.targetLog },
    host: {
      ...(account.ids ? { user: account.name } : {}),
      stateDirectory: paths.state,
      runDirectory: paths.run,
      postgres: { host: facts.postgres.host, port: facts.postgres.port, user: account.name },
      clientTools: facts.clientTools,
      bucardo: '/usr/bin/bucardo',
    },
    ...withOverrides(ON_ONE_MACHINE, {
      capture: { attempts: 100 },
      copy: { chunkMegabytes: 64 },
      sync: { takeBackKeys: 250_000 },
      // A look a second for a moment: that it looks is rehearsed, not for how long.
      watch: { seconds: 3, everySeconds: 1 },
      ready: { health: { source: [PROBE], target: [PROBE], command: ['/bin/true'], timeoutSeconds: 10 } },
      cutover: {
        wayBack: facts.wayBack ? 'armed' : 'none',
        switches: facts.pooler
          ? [{ kind: 'pooler' }]
          : [{ kind: 'command', command: facts.switchCommand, timeoutSeconds: 10 }],
      },
    }),
    applicationLogins: { [APPLICATION_LOGIN]: 'application' },
    ...(facts.pooler && { pooler: facts.pooler }),
  };
}
