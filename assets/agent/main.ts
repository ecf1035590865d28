import { Command, CommanderError } from 'commander';
import { acknowledgeGone, GONE_WORDS } from './cleanup/gone';
import { readConfig, type AgentConfig, type RunOptions } from './config';
import { COPY_WORKER, copyBeside } from './copy/beside';
import { UsageError, oneLine } from './errors';
import { isSystemd, Jobs } from './job';
import { metrics } from './metrics';
import { runPhase } from './phase';
import { PHASES } from './phases';
import { readProgress } from './progress';
import { approve } from './ready/approvals';
import { report } from './report';
import { SUPERVISOR } from './sync/supervisor-job';
import { supervise } from './sync/supervise';
import { unfence, UNFENCE_WORDS } from './unfence';
import { becomeUser } from './user';
import { verify } from './verify';
import { watch } from './watch';
import { stopWatch } from './watch/stop';

/** Longest wait of one `job status`, just under the 48 hours that SSM Run Command allows a command; seconds. */
const LONGEST_WAIT_SECONDS = 172_000;

function settings(): AgentConfig {
  const config = readConfig();
  becomeUser(config.host.user);
  return config;
}

/** The flag of verify that has what differs applied anew. */
const REPAIR = ['--repair', 'verify: hand the keys that differ to the queues of changes, and look again'] as const;

const say = (line: string): void => void process.stdout.write(`${line}\n`);

function phaseName(name: string): string {
  if (name === SUPERVISOR || PHASES.some((phase) => phase.name === name)) return name;
  throw new UsageError(`phase "${name}" is unknown; phases are ${PHASES.map((phase) => phase.name).join(', ')}`);
}

function waitSeconds(value: string): number {
  const seconds = Number(value);
  if (Number.isInteger(seconds) && seconds >= 0 && seconds <= LONGEST_WAIT_SECONDS) return seconds;
  throw new UsageError(`--wait "${value}" is no number of seconds from 0 to ${LONGEST_WAIT_SECONDS}`);
}

function program(): Command {
  const ibex = new Command('ibex').description('Moves a live PostgreSQL database into Aurora or RDS, phase by phase.');
  ibex
    .exitOverride()
    .showHelpAfterError(false)
    .configureOutput({ writeErr: () => undefined });
  for (const phase of PHASES) {
    const command = ibex.command(phase.name).description(`run ${phase.name} here, to its end`);
    if (phase.name === verify.name) command.option(...REPAIR);
    if (phase.name === watch.name) command.option('--stop', 'end the watch that runs, before its time');
    command.action(async ({ stop, ...run }: RunOptions & { stop?: boolean }) => {
      if (stop) return say(`${phase.name}: ${await stopWatch(settings())}`);
      say(`${phase.name}: ${await runPhase({ ...settings(), run }, phase)}`);
    });
  }
  ibex
    .command(SUPERVISOR)
    .description('keep the sync alive until killed')
    .action(() => supervise(settings()));
  ibex
    .command(COPY_WORKER)
    .description('copy chunks beside the phase copy, which starts this')
    .action(() => copyBeside(settings()));
  ibex
    .command('unfence')
    .description('let an old source take writes again after finalize or cleanup; nothing carries them to the target')
    .option('--accept <words>', `must be "${UNFENCE_WORDS}"`)
    .action(async (options: { accept?: string }) => {
      say(await unfence(settings(), options.accept));
    });
  ibex
    .command('gone')
    .description('let cleanup end without a source that never comes back')
    .option('--accept <words>', `must be "${GONE_WORDS}"`)
    .action(async (options: { accept?: string }) => {
      say(await acknowledgeGone(settings(), options.accept));
    });
  ibex
    .command('approve')
    .description('record that somebody approves the cutover as it stands now')
    .option('--by <name>', 'who approves')
    .action(async ({ by }: { by?: string }) => {
      say(await approve(settings(), by));
    });
  ibex
    .command('report')
    .description('print the evidence as JSON')
    .action(async () => {
      say(JSON.stringify(await report(settings()), null, 2));
    });
  ibex
    .command('metrics')
    .description('print figures of the sync, one a line: name, unit, value')
    .action(async () => {
      for (const { name, unit, value } of await metrics(settings())) say(`${name} ${unit} ${value}`);
    });
  ibex
    .command('status')
    .description('print each job and its progress as JSON')
    .action(() => say(JSON.stringify(status(settings()))));
  ibex.addCommand(jobCommand(ibex));
  return ibex;
}

function status(config: AgentConfig): unknown {
  const jobs = new Jobs(config);
  return [...PHASES.map((phase) => phase.name), SUPERVISOR].flatMap((phase) => {
    const record = jobs.read(phase);
    const progress = readProgress(config.host.stateDirectory, phase);
    return record ? [{ ...record, running: jobs.isRunning(phase), progress }] : [];
  });
}

function jobCommand(ibex: Command): Command {
  const job = new Command('job').description('run a phase detached, as the runbooks do').copyInheritedSettings(ibex);
  const wait = ['--wait <seconds>', 'longest wait for the job to end', '0'] as const;
  job
    .command('start <phase>')
    .option(...wait)
    .option(...REPAIR)
    .action(async (phase: string, { repair }: RunOptions) => {
      if (repair && phase !== verify.name) throw new UsageError(`--repair is for verify, not for ${phase}`);
      // Only root may ask systemd for a unit; the job itself becomes the user.
      const config = readConfig();
      if (process.getuid?.() !== 0 || !isSystemd()) becomeUser(config.host.user);
      say(await new Jobs(config).start(phaseName(phase), repair ? [REPAIR[0]] : []));
    });
  job
    .command('status <phase>')
    .option(...wait)
    .action(async (phase: string, options: { wait: string }) => {
      say(await new Jobs(settings()).wait(phaseName(phase), waitSeconds(options.wait)));
    });
  job
    .command('result <phase>')
    .option(...wait)
    .action((phase: string) => {
      const line = new Jobs(settings()).line(phaseName(phase));
      say(line);
      if (!line.startsWith('succeeded')) process.exitCode = 1;
    });
  return job;
}

async function main(): Promise<void> {
  try {
    await program().parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return;
      const what = error.code === 'commander.help' ? 'no command is given' : oneLine(error).replace(/^error: /, '');
      process.stderr.write(`ibex: ${what}; "ibex --help" lists the commands\n`);
      process.exitCode = 2;
      return;
    }
    process.stderr.write(`ibex: ${oneLine(error)}\n`);
    process.exitCode = (error as { exitStatus?: number }).exitStatus ?? 1;
  }
}

void main();
