import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { Failure } from '../../../assets/agent/errors';
import { identify } from '../../../assets/agent/process';
import { type Account, makeDirectory, writeOwned } from './account';
import { type EndpointState, order, type Side } from './endpoint-process';
import { LAB_VARIABLE, signal, until } from './processes';

/** How the endpoint is made. */
export interface EndpointSpec {
  /** Its own directory; made here. */
  readonly directory: string;
  /** The lab's directory, which marks the process. */
  readonly lab: string;
  readonly account: Account;
  /** Node, where the account can run it. */
  readonly node: string;
  readonly port: number;
  readonly source: EndpointState['source'];
  readonly target: EndpointState['target'];
}

/**
 * The one address that applications know: stands in for the load balancer in AWS. A small process of its own, so that
 * it outlives the rehearsal's phases and is moved by a command of the host, not by us.
 */
export class Endpoint {
  readonly host = '127.0.0.1';
  readonly port: number;
  /** The command that moves clients; the side is appended to it. */
  readonly command: readonly string[];
  private readonly control: string;
  private readonly program: string;
  private pid?: number;

  constructor(private readonly spec: EndpointSpec) {
    this.port = spec.port;
    this.control = join(spec.directory, 'control');
    this.program = join(spec.directory, 'endpoint.cjs');
    this.command = [spec.node, this.program, this.control];
  }

  /** Makes program and state: clients are sent to the source. */
  initialize(): void {
    const { account, directory, source, target } = this.spec;
    makeDirectory(directory, account, 0o755);
    const entry = join(__dirname, 'endpoint-process.ts');
    const built = buildSync({
      entryPoints: [entry],
      bundle: true,
      platform: 'node',
      target: 'node20',
      format: 'cjs',
      write: false,
    });
    writeOwned(this.program, built.outputFiles[0]?.text ?? '', account, 0o644);
    writeOwned(this.stateFile, JSON.stringify({ side: 'source', source, target } satisfies EndpointState), account);
  }

  /** Starts the process; it goes on with the side that it had. Throws Failure when it does not come up. */
  async start(): Promise<void> {
    const { account, directory, lab, node, port } = this.spec;
    const log = openSync(join(directory, 'log'), 'a');
    const child = spawn(node, [this.program, 'serve', this.stateFile, this.control, String(port)], {
      ...account.ids,
      cwd: '/',
      env: { PATH: '/usr/bin:/bin', [LAB_VARIABLE]: lab },
      stdio: ['ignore', log, log],
      detached: true,
    });
    closeSync(log);
    let ended = false;
    child.once('exit', () => (ended = true)).once('error', () => (ended = true));
    child.unref();
    this.pid = child.pid;
    const up = async (): Promise<boolean> =>
      ended ||
      (await this.side().then(
        () => true,
        () => false,
      ));
    if (!(await until(up, 10_000)) || ended) {
      throw new Failure(
        `the endpoint does not start: ${readFileSync(join(directory, 'log'), 'utf8').trim().split('\n').at(-1)}`,
      );
    }
  }

  /** Ends the process; clients see their connections closed. */
  async stop(): Promise<void> {
    const { pid } = this;
    if (pid === undefined) return;
    signal(pid, 'SIGKILL');
    await until(() => identify(pid) === undefined, 5000);
    this.pid = undefined;
  }

  /** Where new connections go. */
  side(): Promise<Side> {
    return order(this.control, 'side');
  }

  /** Closes every connection and sends new ones to the other side. */
  async switchTo(side: Side): Promise<void> {
    await order(this.control, side);
  }

  private get stateFile(): string {
    return join(this.spec.directory, 'state.json');
  }
}
