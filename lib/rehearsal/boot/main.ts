import { setTimeout as sleep } from 'node:timers/promises';
import { oneLine, UsageError } from '../../../assets/agent/errors';
import { Interrupted, interruptions, whenAborted } from '../cli/interruption';
import { closeAllLabs, sweepStale } from '../lab';
import { archiveHost } from './archive-host';
import { checkGround } from './base-root';
import { debianHost } from './debian-host';
import { interruption } from './interruption';
import { prepareGround, type Ground } from './ground';
import { Narrator } from './narrator';
import { createWorkspace, removeWorkspace, sweepWorkspaces } from './workspace';

/** What a scenario may ask for; the ground is made for the first one that needs it. */
type Scenario = (ground: () => Promise<Ground>, narrator: Narrator) => Promise<void>;

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  debian: async (ground, narrator) => debianHost(await ground(), narrator),
  archive: async (ground, narrator) => archiveHost(await ground(), narrator),
  interruption: (_, narrator) => interruption(narrator),
};

/** Those that are run when none is named; the others take long, and show nothing of the host. */
const USUAL = ['debian', 'archive'];

/** Until a signal that also ended a program of ours has reached us; milliseconds. */
const SIGNAL_MS = 50;

/**
 * The command `test:host`. Whatever happens, every machine, loop device and server that it made is gone when it ends.
 *
 * @param args names of scenarios; none for the usual ones @returns the exit status
 */
export async function main(
  args: readonly string[],
  out: NodeJS.WritableStream,
  err: NodeJS.WritableStream,
): Promise<number> {
  const narrator = new Narrator((line) => void out.write(`${line}\n`));
  const log = (line: string): void => narrator.say('', line);
  let stop: AbortSignal | undefined;
  let workspace: string | undefined;
  try {
    const chosen = scenariosOf(args);
    checkGround();
    stop = interruptions([process.stdout, process.stderr]);
    await sweepWorkspaces(log);
    await sweepStale(log);
    workspace = createWorkspace();
    await Promise.race([runAll(workspace, chosen, narrator), whenAborted(stop)]);
    log(`passed: ${narrator.checks} claims shown in ${narrator.seconds.toFixed(0)} s`);
    return 0;
  } catch (error) {
    await sleep(SIGNAL_MS);
    const cause: unknown = stop?.aborted === true ? stop.reason : error;
    if (!(cause instanceof Interrupted)) err.write(`test:host: ${oneLine(cause)}\n`);
    if (process.env['IBEX_DEBUG'] && cause instanceof Error) err.write(`${cause.stack}\n`);
    return (cause as { exitStatus?: number } | null)?.exitStatus ?? 1;
  } finally {
    if (workspace !== undefined) await removeWorkspace(workspace);
    await closeAllLabs();
  }
}

function scenariosOf(args: readonly string[]): Scenario[] {
  const names = args.length === 0 ? USUAL : args;
  return names.map((name) => {
    const scenario = SCENARIOS[name];
    if (scenario) return scenario;
    throw new UsageError(`scenario "${name}" is unknown; there are ${Object.keys(SCENARIOS).join(' and ')}`);
  });
}

async function runAll(workspace: string, scenarios: readonly Scenario[], narrator: Narrator): Promise<void> {
  let prepared: Promise<Ground> | undefined;
  const ground = (): Promise<Ground> => (prepared ??= prepareGround(workspace, (line) => narrator.say('', line)));
  await Promise.all(scenarios.map((scenario) => scenario(ground, narrator)));
}
