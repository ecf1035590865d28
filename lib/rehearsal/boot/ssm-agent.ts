import { randomUUID } from 'node:crypto';
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import type { Package } from './deb';
import { bindCommand } from '../automation/command-document';
import type { CommandHost, CommandRequest, CommandResult } from '../automation/command-host';
import { commandOutput } from '../automation/output';
import { until } from '../lab/processes';
import type { Machine } from './machine';

/** Where the stand-in of the agent finds what it is to run. */
const COMMANDS = '/var/lib/amazon/ssm/commands';

/** Characters of both streams that the agent reads. */
const READ = { stdout: 24_000, stderr: 8_000 } as const;

/**
 * A stand-in for Amazon's agent, under its name and with a unit like its own: runs each script as a process group of its
 * own, as root, in the environment of a service.
 */
export function agentPackage(version: string, region: string): Package {
  return {
    name: 'amazon-ssm-agent',
    version: `${version}-1`,
    files: {
      '/usr/bin/amazon-ssm-agent': `#!/bin/bash
mkdir -p ${COMMANDS}
cd ${COMMANDS} || exit 1
shopt -s nullglob
while sleep 0.1; do
  for command in *.ready; do
    id=\${command%.ready}
    mv "$command" "$id.run"
    (
      cd "$id.run" || exit
      setsid --fork bash -c '
        echo $$ >pid
        set -a; . ./environment; set +a
        ( exec sh ./script ) >stdout 2>stderr </dev/null
        echo $? >status.new; mv status.new status'
    )
  done
done
`,
      '/lib/systemd/system/amazon-ssm-agent.service': `[Unit]
Description=amazon-ssm-agent
After=network-online.target

[Service]
Type=simple
Environment=AWS_SSM_REGION_NAME=${region}
ExecStart=/usr/bin/amazon-ssm-agent
KillMode=process
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
`,
    },
  };
}

/** A booted machine in the place of an instance with its agent. */
export class MachineCommandHost implements CommandHost {
  constructor(private readonly machine: Machine) {}

  async run({ document, parameters, signal }: CommandRequest): Promise<CommandResult> {
    const { script, environment, executionSeconds } = bindCommand(document, parameters);
    const id = randomUUID();
    const directory = `${COMMANDS}/${id}`;
    const variables = Object.entries(environment).map(([name, value]) => `${name}=${quote(value)}\n`);
    this.machine.write(`${directory}/script`, script);
    this.machine.write(`${directory}/environment`, variables.join(''));
    // The whole directory appears at once under the name that the agent looks for.
    renameSync(join(this.machine.root, directory), join(this.machine.root, `${directory}.ready`));
    const running = `${directory}.run`;
    const status = (): string => this.machine.read(`${running}/status`).trim();
    const over = (): boolean => status() !== '' || signal.aborted || !this.machine.running;
    const inTime = await until(over, executionSeconds * 1000, 50);
    const code = status() === '' ? -1 : Number(status());
    if (code === -1 && this.machine.running) await this.machine.shell(`kill -9 -- -"$(<${running}/pid)" || true`);
    const stdout = this.machine.read(`${running}/stdout`).slice(0, READ.stdout);
    const stderr = this.machine.read(`${running}/stderr`).slice(0, READ.stderr);
    return {
      commandId: id,
      status:
        code === 0 ? 'Success' : code > 0 ? 'Failed' : signal.aborted ? 'Cancelled' : inTime ? 'Failed' : 'TimedOut',
      responseCode: code,
      output: commandOutput(
        stdout,
        code > 0
          ? [stderr, `failed to run commands: exit status ${code}`].filter((text) => text !== '').join('\n')
          : stderr,
      ),
    };
  }
}

const quote = (value: string): string => `'${value.replaceAll("'", `'\\''`)}'`;
