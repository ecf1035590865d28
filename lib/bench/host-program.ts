import { killBucardo } from '../../assets/agent/bucardo/daemon';
import type { AgentConfig } from '../../assets/agent/config';
import { stopSupervisor } from '../../assets/agent/sync/supervisor-job';
import { bundleAgent } from '../agent-bundle';
import { serverAccount, writeOwned } from '../rehearsal/lab/account';
import { hostEnvironment, installProgram, makeHost, writeSecrets } from '../rehearsal/lab/host';
import { runProgram } from './program';
import { hostHome, type BenchServers } from './servers';

/** The host program as it is shipped, in processes and under an account of its own, as on the Bucardo host. */
export class HostProgram {
  private constructor(
    /** What it is told. */
    readonly config: AgentConfig,
    private readonly environment: Readonly<Record<string, string>>,
  ) {}

  /** Installs it; once for the servers' life. @param sync its settings of the sync */
  static install(servers: BenchServers, database: string, sync: AgentConfig['sync']): HostProgram {
    const account = serverAccount();
    const paths = makeHost(hostHome(servers.directory), account);
    const plain = servers.config(database);
    const { user, password } = servers.login;
    writeSecrets(paths, account, { [plain.source.secret]: { username: user, password } });
    const config: AgentConfig = {
      ...plain,
      secrets: { kind: 'directory', path: paths.secrets },
      host: {
        ...plain.host,
        ...(account.ids ? { user: account.name } : {}),
        stateDirectory: paths.state,
        runDirectory: paths.run,
      },
      sync,
    };
    writeOwned(paths.configuration, JSON.stringify(config), account);
    installProgram(paths, account, process.execPath, bundleAgent);
    return new HostProgram(config, hostEnvironment(paths, account, servers.directory, process.execPath));
  }

  /** Runs a phase to its end. Returns its line. */
  async run(phase: string): Promise<string> {
    return (await runProgram(`${this.environment['IBEX_HOME']}/bin/ibex`, [phase], this.environment)).trim();
  }

  /** Ends the supervisor and its Bucardo. */
  async stop(): Promise<void> {
    await stopSupervisor(this.config);
    await killBucardo(this.config.host);
  }
}
