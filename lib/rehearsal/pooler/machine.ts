import { spawn, type ChildProcess } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join, relative } from 'node:path';
import type { PoolerConfiguration } from '../../pooler/configuration';
import { CONSOLE_PORT, POOLER_PORT } from '../../pooler/openings';
import { ROOT } from '../../bundle';
import { system } from '../boot/programs';

export interface MachineProps {
  /** A Debian 13 root; see debian13(). */
  readonly base: string;
  /** Where the machine's own root is made; on the file system of `base`. */
  readonly directory: string;
  /** What the template's parameter says, with addresses of this machine's servers. */
  readonly configuration: PoolerConfiguration;
  /** Of PgBouncer and of its console. */
  readonly ports: { readonly clients: number; readonly console: number };
  /** Addresses of names that the configuration uses. */
  readonly hosts: Readonly<Record<string, string>>;
  /** Certificate of the authority that stands for that of RDS; PEM. */
  readonly authority: string;
  /** Environment of its processes beside their own, by which they are found again. @default none */
  readonly environment?: Readonly<Record<string, string>>;
  /** Who records the side beside us: the account of the host program. @default nobody */
  readonly recorder?: { readonly uid: number; readonly gid: number };
}

/** How a program of the machine ended. */
export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The machine's id, as the SSM agent would tell it. */
export const INSTANCE_ID = 'i-0fedcba9876543210';

/** Answers what pooler.sh asks AWS, from files; what is not there fails as a refusal does. */
const AWS = `#!/bin/bash
set -euo pipefail
service=$1
while (($# > 1)); do
  case $1 in
  --secret-id | --name) id=$2 ;;
  --metric-data) echo "$2" >>/aws/metrics && exit ;;
  esac
  shift
done
echo "$service $id" >>/aws/calls
cat "/aws/$service/\${id//[\\/:]/_}" 2>/dev/null ||
  { echo "An error occurred (AccessDeniedException) when asking $service for $id" >&2 && exit 254; }
`;

const fileName = (id: string): string => id.replace(/[/:]/g, '_');

/**
 * A pooler's machine without AWS and without systemd: Debian 13's PgBouncer with the files that the install document
 * brings, in a root of its own. Only addresses and ports differ from what is shipped.
 */
export class PoolerMachine {
  readonly root: string;
  private readonly running = new Set<ChildProcess>();

  private constructor(private readonly props: MachineProps) {
    this.root = join(props.directory, 'root');
  }

  /** Lays out the machine; nothing runs yet. */
  static async create(props: MachineProps): Promise<PoolerMachine> {
    const machine = new PoolerMachine(props);
    const { root } = machine;
    mkdirSync(props.directory, { recursive: true, mode: 0o755 });
    // Links: nothing of Debian's own is written to, and 230 MB are there at once.
    const near = statSync(props.base).dev === statSync(props.directory).dev;
    await system('cp', ['--archive', ...(near ? ['--link'] : []), props.base, root]);
    const make = (path: string, owner: string, mode: string): Promise<string> =>
      system('chroot', [root, 'install', '-d', '-o', owner, '-g', owner, '-m', mode, path]);
    await make('/run/ibex-pooler', 'postgres', '711');
    await make('/run/ibex-pooler-console', 'stunnel4', '700');
    await make('/aws', 'postgres', '755');
    await make('/aws/secretsmanager', 'postgres', '700');
    await make('/aws/ssm', 'postgres', '755');
    if (props.recorder) chownSync(join(root, 'aws/ssm'), props.recorder.uid, props.recorder.gid);
    await make('/etc/ibex-pooler', 'root', '755');
    await make('/opt/ibex-pooler', 'root', '755');
    machine.replace(
      'etc/hosts',
      Object.entries(props.hosts)
        .map(([name, address]) => `${address} ${name}\n`)
        .join(''),
    );
    machine.replace('usr/local/bin/aws', AWS, 0o755);
    machine.replace('etc/ibex-pooler/instance', `${INSTANCE_ID}\n`);
    machine.replace('opt/ibex-pooler/rds-global-bundle.pem', props.authority);
    machine.install();
    return machine;
  }

  private install(): void {
    const { ports, configuration } = this.props;
    const addresses = (text: string): string =>
      text
        .replace(/^listen_addr = \*$/m, 'listen_addr = 127.0.0.1')
        .replace(`listen_port = ${POOLER_PORT}`, `listen_port = ${ports.clients}`)
        .replace(`.s.PGSQL.${POOLER_PORT}`, `.s.PGSQL.${ports.clients}`)
        .replace(`accept = ${CONSOLE_PORT}`, `accept = 127.0.0.1:${ports.console}`);
    for (const file of ['pgbouncer.ini', 'hba.conf', 'stunnel.conf']) {
      const text = readFileSync(join(ROOT, 'assets', 'pooler', file), 'utf8');
      this.replace(join('opt/ibex-pooler', file), addresses(text));
    }
    copyFileSync(join(ROOT, 'assets', 'pooler', 'pooler.sh'), join(this.root, 'opt/ibex-pooler/pooler.sh'));
    chmodSync(join(this.root, 'opt/ibex-pooler/pooler.sh'), 0o755);
    this.replace('etc/ibex-pooler/pooler.json', JSON.stringify(configuration));
  }

  /** Writes a file of the machine anew, whatever it was linked to. */
  private replace(path: string, text: string, mode = 0o644): void {
    const file = join(this.root, path);
    rmSync(file, { force: true });
    writeFileSync(file, text);
    chmodSync(file, mode);
  }

  /** What Secrets Manager answers for this secret from now on. */
  secret(arn: string, value: unknown): void {
    this.replace(join('aws/secretsmanager', fileName(arn)), typeof value === 'string' ? value : JSON.stringify(value));
  }

  /** What the parameter with the side says from now on; nothing can be read where it is undefined. */
  side(value: string | undefined): void {
    if (value === undefined) rmSync(this.sideFile, { force: true });
    else this.replace(relative(this.root, this.sideFile), `${value}\n`);
  }

  /** What stands in for the parameter with the side. */
  get sideFile(): string {
    return join(this.root, 'aws/ssm', fileName(this.props.configuration.sideParameter));
  }

  /** What AWS was asked so far, one line each. */
  calls(): string[] {
    return readFileSync(join(this.root, 'aws/calls'), 'utf8').trim().split('\n');
  }

  /** The metrics that CloudWatch was told so far, as they were given. */
  metrics(): string[] {
    return readFileSync(join(this.root, 'aws/metrics'), 'utf8').trim().split('\n');
  }

  /** ExecStart lines of a unit, as systemd would run them: with the unit's user. */
  async unit(name: string): Promise<{ readonly before: string[]; readonly user: string; readonly start: string }> {
    const text = readFileSync(join(ROOT, 'assets', 'pooler', 'systemd', `${name}.service`), 'utf8');
    const values = (key: string): string[] =>
      [...text.matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].map(([, v = '']) => v);
    return { before: values('ExecStartPre'), user: values('User')[0] ?? '', start: values('ExecStart')[0] ?? '' };
  }

  /** Starts what a unit starts. The process dies with this one. */
  async start(name: string): Promise<ChildProcess> {
    const { before, user, start } = await this.unit(name);
    for (const command of before) await this.run(command, user);
    const log = openSync(this.logFile(name), 'a');
    const child = this.spawn(start, user, log);
    closeSync(log);
    this.running.add(child);
    child.once('close', () => this.running.delete(child));
    return child;
  }

  /** What the unit's processes have said. */
  log(name: string): string {
    return readFileSync(this.logFile(name), 'utf8');
  }

  private logFile(name: string): string {
    return join(this.props.directory, `${name}.log`);
  }

  /** Runs a command of the machine to its end. */
  async run(command: string, user = 'postgres'): Promise<Ended> {
    const child = this.spawn(command, user);
    const output = { stdout: '', stderr: '' };
    child.stdout?.on('data', (data: Buffer) => (output.stdout += String(data)));
    child.stderr?.on('data', (data: Buffer) => (output.stderr += String(data)));
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (status) => resolve({ status, ...output }));
    });
  }

  /** In a mount namespace of its own, so that /proc is there and goes with the last process. */
  private spawn(command: string, user: string, output: number | 'pipe' = 'pipe'): ChildProcess {
    const enter =
      'mount -t proc proc "$0/proc" && root=$0 && exec chroot "$root" ' +
      'setpriv "--reuid=$1" "--regid=$1" --init-groups --pdeathsig=KILL bash -c "umask 077; exec $2"';
    return spawn('unshare', ['--mount', '--propagation=private', 'bash', '-c', enter, this.root, user, command], {
      cwd: '/',
      env: {
        PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin',
        LC_ALL: 'C.UTF-8',
        HOME: '/nonexistent',
        ...this.props.environment,
      },
      stdio: ['ignore', output, output],
    });
  }

  /** Ends everything that was started, and removes the machine. */
  async remove(): Promise<void> {
    await Promise.all([...this.running].map(killed));
    rmSync(this.props.directory, { recursive: true, force: true });
  }
}

/** Kills a process at once and waits until it is gone. */
export function killed(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    child.once('close', () => resolve());
    child.kill('SIGKILL');
  });
}
