import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command, CommanderError, Option } from 'commander';
import { oneLine, UsageError } from '../../../assets/agent/errors';
import { DEFAULT_MIGRATION, loadMigration } from '../../app';
import type { CopyMethod } from '../../phases';
import { detectDump } from '../lab/dump-format';
import type { RehearsalOptions } from '../rehearsal';

/** What a person asks of `npm run rehearse`. */
export interface RehearseOptions extends Omit<RehearsalOptions, 'pooler' | 'settings' | 'log'> {
  /** Absolute path of a dump that takes the place of the example. */
  readonly dump?: string;
  /** Absolute path of the directory for report.json. */
  readonly report?: string;
  /** How the rows get to the target. */
  readonly copy: CopyMethod;
  /** How the writers are moved: the address leads elsewhere, or a pooler holds and leads them. */
  readonly switch: 'address' | 'pooler';
  /** After the cutover: writes on the target, a rollback, writes on the source, a second cutover. */
  readonly rollback: boolean;
  /** How long the application writes to an end before it is moved off again; seconds. */
  readonly between: number;
  /** Leave the servers up at the end. */
  readonly keep: boolean;
  /** The report on standard output, everything else on standard error. */
  readonly json: boolean;
}

/** How the help is reached, for the end of an error line. */
const HELP = '"npm run rehearse -- --help" lists the options';

/**
 * Reads the command line. Nothing is started or changed, but everything that can be known to be wrong is found: throws
 * UsageError with one line.
 *
 * @param args without node and program
 * @param directory that relative paths start from; npm changes to the repository's, and says in INIT_CWD where it was
 * @param write takes the help
 * @returns undefined when the help was asked for
 */
export function parseOptions(
  args: readonly string[],
  directory: string = process.env['INIT_CWD'] ?? process.cwd(),
  write: (text: string) => void = (text) => void process.stdout.write(text),
): RehearseOptions | undefined {
  const command = describeCommand(directory).configureOutput({ writeOut: write, writeErr: () => undefined });
  try {
    command.parse(args, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return undefined;
    throw new UsageError(`${oneLine(error).replace(/^error: /, '')}; ${HELP}`);
  }
  const [extra] = command.args;
  if (extra !== undefined) throw new UsageError(`argument ${JSON.stringify(extra)} belongs to no option; ${HELP}`);
  const options = command.opts<RehearseOptions>();
  if (options.targetVersion < options.sourceVersion) {
    throw new UsageError(
      `--target-version ${options.targetVersion} is older than the source's ${options.sourceVersion}; migrations go forward only`,
    );
  }
  loadMigration(options.migration);
  if (options.dump !== undefined) detectDump(options.dump);
  return options;
}

function describeCommand(directory: string): Command {
  return new Command('npm run rehearse --')
    .usage('[options]')
    .description(
      'Runs a whole live migration on this machine: a source, a target that behaves like RDS, an application that ' +
        'keeps writing, and the runbooks that AWS would run. Exits with 0 only if nothing was lost.',
    )
    .helpOption('-h, --help', 'show this')
    .option('--source-version <major>', "source's PostgreSQL, 10 to 17", whole('--source-version', 10, 17), 11)
    .option('--target-version <major>', "target's PostgreSQL, 15 to 18", whole('--target-version', 15, 18), 17)
    .option('--scale <n>', "pgbench's scale, 100,000 accounts each", whole('--scale', 1, 10_000), 1)
    .option('--rate <n>', "the writers' transactions per second, all together", whole('--rate', 1, 100_000), 100)
    .option('--connections <n>', "the writers' connections", whole('--connections', 1, 100), 8)
    .addOption(
      new Option(
        '--copy <way>',
        'rows go through a dump, stream from server to server, or are copied by Bucardo itself',
      )
        .choices(['dump', 'stream', 'onetimecopy'])
        .default('dump'),
    )
    .addOption(
      new Option('--switch <way>', 'writers are moved by their address, or wait in a pooler (as root)')
        .choices(['address', 'pooler'])
        .default('address'),
    )
    .option('--dump <file>', 'rehearse this dump (of pg_dump, any format) instead of the example', path('--dump'))
    .option('--report <dir>', 'write report.json into this directory', report)
    .option('--rollback', 'after the cutover move the writes back, and once more to the target', false)
    .option('--between <s>', 'seconds of writes between two moves of --rollback', whole('--between', 1, 86_400), 3)
    .option('--keep', 'leave the servers up at the end, and say how to connect', false)
    .option('--json', 'the report on standard output, everything else on standard error', false)
    .option('--migration <name>', 'whose runbooks are run, from migrations/', DEFAULT_MIGRATION)
    .allowExcessArguments(true)
    .exitOverride();

  function path(option: string): (value: string) => string {
    return (value) => {
      if (value === '') throw new UsageError(`${option} is empty; give a path`);
      return resolve(directory, value);
    };
  }

  function report(value: string): string {
    const target = path('--report')(value);
    if (isNoDirectory(target)) throw new UsageError(`--report ${value} is not a directory; give one`);
    return target;
  }
}

/** Whether something else is in the way; what is not there yet is made later. */
function isNoDirectory(path: string): boolean {
  try {
    return !statSync(path).isDirectory();
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOTDIR';
  }
}

function whole(option: string, from: number, to: number): (value: string) => number {
  return (value) => {
    const number = Number(value);
    if (/^\d+$/.test(value) && number >= from && number <= to) return number;
    throw new UsageError(
      `${option} ${JSON.stringify(value)}: must be a whole number from ${from} to ${to.toLocaleString('en-US')}`,
    );
  };
}
