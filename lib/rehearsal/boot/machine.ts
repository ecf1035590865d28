import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Failure } from '../../../assets/agent/errors';
import { identify } from '../../../assets/agent/process';
import { killAll, until } from '../lab/processes';
import { packageCache, unpackRoot } from './base-root';
import { system } from './programs';
import { childrenOf, machineProcesses } from './workspace';

/** How a machine is made. */
export interface MachineSpec {
  /** The workspace. */
  readonly directory: string;
  /** Its name, and that of its directory in the workspace. */
  readonly name: string;
  /** Tar file of the system that it starts from. */
  readonly base: string;
  /** Id of its data volume in EC2, `vol-…`. */
  readonly volumeId: string;
  /** What cloud-init runs at the first boot. */
  readonly userData: string;
}

/** Size of the data volume; the file is sparse. */
const VOLUME_BYTES = 8 * 1024 ** 3;
const BOOT_TIMEOUT_MS = 60_000;

/**
 * A Debian machine with systemd as its first process and a data volume that it finds by EBS's id. It shares the network
 * with us, and nothing else.
 */
export class Machine {
  readonly root: string;
  private readonly volume: string;
  private device: string | undefined;
  private container: ChildProcess | undefined;

  constructor(private readonly spec: MachineSpec) {
    this.root = join(spec.directory, spec.name);
    this.volume = join(spec.directory, `${spec.name}.img`);
  }

  /** Makes root directory and volume. */
  async build(): Promise<void> {
    const { base, userData, volumeId, name } = this.spec;
    await unpackRoot(base, this.root);
    closeSync(openSync(this.volume, 'w'));
    await system('truncate', [`--size=${VOLUME_BYTES}`, this.volume]);
    this.device = (await system('losetup', ['--find', '--show', this.volume])).trim();
    this.write('/var/lib/cloud/seed/nocloud/user-data', userData);
    this.write('/var/lib/cloud/seed/nocloud/meta-data', `instance-id: i-${name}\nlocal-hostname: ${name}\n`);
    this.write('/etc/cloud/cloud.cfg.d/99-here.cfg', CLOUD_CONFIG);
    // As on EC2, the device has a number of no meaning, and only the link by id says which volume it is.
    this.write(
      '/etc/tmpfiles.d/ebs.conf',
      `L+ /dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_${volumeId.replace('-', '')} - - - - ../../nvme2n1\n`,
    );
    this.write('/etc/systemd/system-generators/fstab-in-container', FSTAB_GENERATOR, 0o755);
  }

  /** Puts a file into the machine, whether it runs or not. @param mode @default 0o644 */
  write(path: string, text: string | Uint8Array, mode = 0o644): void {
    mkdirSync(dirname(join(this.root, path)), { recursive: true });
    writeFileSync(join(this.root, path), text, { mode });
  }

  /** Text of a file in the machine; empty when there is none. Not for what lies on the data volume or on tmpfs. */
  read(path: string): string {
    return existsSync(join(this.root, path)) ? readFileSync(join(this.root, path), 'utf8') : '';
  }

  /** Starts it, and waits until its systemd answers. Throws Failure with the last words of its console. */
  async boot(): Promise<void> {
    const console = openSync(join(this.spec.directory, `${this.spec.name}.console`), 'a');
    const { device, root } = this;
    this.container = spawn(
      'systemd-nspawn',
      [
        '--directory',
        root,
        '--register=no',
        '--keep-unit',
        '--quiet',
        '--console=pipe',
        '--resolv-conf=copy-host',
        `--bind=${device}:/dev/nvme2n1`,
        `--property=DeviceAllow=${device} rwm`,
        `--bind=${packageCache(this.spec.name)}:/var/cache/apt/archives`,
        '--boot',
      ],
      // A terminal's Ctrl-C is for us, who then take the machine down.
      {
        detached: true,
        stdio: ['ignore', console, console],
        env: { PATH: process.env['PATH'], SYSTEMD_LOG_LEVEL: 'warning' },
      },
    );
    closeSync(console);
    let ended = false;
    this.container.once('exit', () => (ended = true)).once('error', () => (ended = true));
    const up = async (): Promise<boolean> => ended || (await this.answers());
    if (!(await until(up, BOOT_TIMEOUT_MS, 100)) || ended) {
      throw new Failure(`${this.spec.name} does not boot: ${this.lastWords()}`);
    }
  }

  /** Takes its power away: every process ends at once. */
  async kill(): Promise<void> {
    const first = this.first();
    if (first !== undefined) process.kill(first, 'SIGKILL');
    await until(() => machineProcesses(this.root).length === 0, 10_000);
    await killAll(() => machineProcesses(this.root));
    this.container = undefined;
  }

  /** Whether it runs. */
  get running(): boolean {
    return this.first() !== undefined;
  }

  /** Runs a program inside as root; gives back its standard output. Throws ProgramFailure. */
  run(program: string, ...args: string[]): Promise<string> {
    const first = this.first();
    if (first === undefined) throw new Failure(`${this.spec.name} does not run`);
    const namespaces = ['--mount', '--uts', '--ipc', '--pid', '--cgroup'];
    return system('nsenter', ['--target', String(first), ...namespaces, '--wdns=/', '--', program, ...args]);
  }

  /** Lines of shell, run inside as root; the standard output without its last line break. */
  async shell(script: string): Promise<string> {
    return (await this.run('bash', '-c', script)).replace(/\n$/, '');
  }

  /** The machine's first process, as this machine numbers it. */
  private first(): number | undefined {
    const { container } = this;
    if (container?.pid === undefined || container.exitCode !== null || container.signalCode !== null) return undefined;
    return childrenOf(container.pid).find((pid) => identify(pid) !== undefined);
  }

  private async answers(): Promise<boolean> {
    if (this.first() === undefined) return false;
    try {
      await this.run('systemctl', 'show', '--property=Version');
      return true;
    } catch {
      return false;
    }
  }

  private lastWords(): string {
    const file = join(this.spec.directory, `${this.spec.name}.console`);
    const text = existsSync(file) ? readFileSync(file, 'utf8').trim() : '';
    rmSync(file, { force: true });
    return text.split('\n').slice(-3).join(' | ') || 'its console is empty';
  }
}

/** What Debian's image for EC2 gets from EC2: the place of the user data. The network is ours. */
const CLOUD_CONFIG = `datasource_list: [NoCloud]
network: {config: disabled}
apt: {preserve_sources_list: true}
locale: false
ssh_deletekeys: false
`;

/**
 * systemd's own generator ignores devices in /etc/fstab when it runs in a container. This one makes of those lines what
 * it makes of them on a machine.
 */
const FSTAB_GENERATOR = `#!/bin/bash
while read -r what where type options _; do
  [[ $what == /dev/* ]] || continue
  unit=$(systemd-escape --path --suffix=mount "$where")
  printf '[Unit]\\nSourcePath=/etc/fstab\\n[Mount]\\nWhat=%s\\nWhere=%s\\nType=%s\\nOptions=%s\\n' \\
    "$what" "$where" "$type" "$options" >"$1/$unit"
  need=requires
  [[ ,$options, != *,nofail,* ]] || need=wants
  mkdir -p "$1/local-fs.target.$need"
  ln -sf "../$unit" "$1/local-fs.target.$need/$unit"
done </etc/fstab
`;
