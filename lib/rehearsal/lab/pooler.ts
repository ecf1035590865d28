import { join } from 'node:path';
import { Failure } from '../../../assets/agent/errors';
import type { PoolerConfig } from '../../../assets/agent/switch/config';
import type { PoolerConfiguration } from '../../pooler/configuration';
import { debian13 } from '../pooler/debian-13';
import { PoolerMachine } from '../pooler/machine';
import type { Account } from './account';
import type { Side } from './endpoint-process';
import { awkwardPassword } from './passwords';
import { LAB_VARIABLE, until } from './processes';

/** How the pooler of a lab is made. */
export interface LabPoolerSpec {
  /** The lab's directory, in which the pooler gets one of its own. */
  readonly lab: string;
  readonly account: Account;
  readonly ports: { readonly clients: number; readonly console: number };
  readonly sides: Readonly<Record<Side, { readonly host: string; readonly port: number }>>;
  readonly database: string;
  readonly login: { readonly user: string; readonly password: string };
  readonly budgetSeconds: number;
  readonly log: (line: string) => void;
}

/** Secret of the pooler's console, as the host program reads it. */
export const CONSOLE_SECRET = 'pooler';
const CONSOLE_USER = 'ibex_admin';
const SIDE_PARAMETER = '/ibex/rehearsal/pooler/side';

/**
 * A pooler between the applications and both servers: PgBouncer of Debian 13 with the files that AWS is sent, in a root of
 * its own. Only root may build and enter that.
 */
export class LabPooler {
  /** Login of the console, for the host's secrets. */
  readonly console: { readonly username: string; readonly password: string };

  private constructor(
    private readonly machine: PoolerMachine,
    private readonly spec: LabPoolerSpec,
    console: LabPooler['console'],
  ) {
    this.console = console;
  }

  /** Makes the machine and starts it, on the source. Throws Failure when PgBouncer does not come up. */
  static async start(spec: LabPoolerSpec): Promise<LabPooler> {
    const base = await debian13(spec.log);
    const { lab, account, database, login, ports, sides } = spec;
    const side = (name: Side) => ({ ...sides[name], database, sslmode: 'disable' as const });
    const configuration: PoolerConfiguration = {
      region: 'rehearsal',
      sideParameter: SIDE_PARAMETER,
      database,
      sides: { source: side('source'), target: side('target') },
      logins: { [login.user]: 'application' },
      consoleSecret: CONSOLE_SECRET,
      poolSize: 40,
      maxClients: 500,
      pauseLimitSeconds: spec.budgetSeconds + 1,
    };
    const machine = await PoolerMachine.create({
      base,
      directory: join(lab, 'pooler'),
      configuration,
      ports,
      hosts: {},
      authority: '',
      environment: { [LAB_VARIABLE]: lab },
      ...(account.ids && { recorder: account.ids }),
    });
    const pooler = new LabPooler(machine, spec, { username: CONSOLE_USER, password: awkwardPassword() });
    machine.secret('application', { username: login.user, password: login.password });
    machine.secret(CONSOLE_SECRET, pooler.console);
    machine.side('source');
    await pooler.run();
    return pooler;
  }

  /** What the host program is told of it. */
  get config(): PoolerConfig {
    return {
      consoles: [{ host: '127.0.0.1', port: this.spec.ports.console }],
      secret: CONSOLE_SECRET,
      database: this.spec.database,
      side: { file: this.machine.sideFile },
    };
  }

  /** The side that its clients are led to. */
  async side(): Promise<Side> {
    const { stdout } = await this.machine.run('/opt/ibex-pooler/pooler.sh status');
    return stdout.includes(' on the target;') ? 'target' : 'source';
  }

  /** Whether its clients are held. */
  async isPaused(): Promise<boolean> {
    const { stdout } = await this.machine.run('/opt/ibex-pooler/pooler.sh status');
    return stdout.startsWith('paused ');
  }

  private async run(): Promise<void> {
    await this.machine.start('ibex-pooler');
    await this.machine.start('ibex-pooler-console');
    const up = async (): Promise<boolean> => (await this.machine.run('/opt/ibex-pooler/pooler.sh status')).status === 0;
    if (!(await until(up, 10_000)))
      throw new Failure(`the pooler does not start: ${this.machine.log('ibex-pooler').trim().split('\n').at(-1)}`);
    await this.machine.start('ibex-pooler-watch');
  }
}
