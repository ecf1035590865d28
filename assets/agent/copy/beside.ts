import { spawn } from 'node:child_process';
import type { Client } from 'pg';
import { Brake } from '../brake/brake';
import { readRelations, serverVersion, type Relation } from '../catalog/relations';
import type { AgentConfig } from '../config';
import { Context } from '../context';
import { Failure, oneLine } from '../errors';
import { Lease } from '../lease';
import { openStateSession } from '../state';
import type { CopyTerms } from './copy-chunk';
import { readFormats } from './format';
import { RateLimit } from './rate-limit';
import { PAUSES_MS } from './reconnecting';
import { work } from './worker';

/** Command of the host program that copies chunks beside the phase that planned them. */
export const COPY_WORKER = 'copy-worker';

/** Fact, in the state, of the generation of the lease under which chunks are copied. */
export const COPY_LEASE_FACT = 'copy.lease';

/** What all workers of this process go by. */
export async function copyTerms(
  context: Context,
  source: Client,
  relations: readonly Relation[],
  lease: Lease,
): Promise<CopyTerms> {
  const { maxBytesPerSecond, processes } = context.config.copy;
  const limit = new RateLimit(maxBytesPerSecond / Math.max(1, processes));
  return {
    relations: new Map(relations.map((relation) => [relation.sql, relation])),
    format: await readFormats(source),
    lease,
    sourceVersion: await serverVersion(source),
    brake: context.brake,
    onBytes: (bytes) => Math.max(limit.take(bytes), context.brake.wait()),
  };
}

/**
 * Runs as many workers as the settings say, to their end. Throws the first failure, when all have ended.
 *
 * @param onCopied told of each chunk that is there
 */
export async function runWorkers(
  context: Context,
  terms: CopyTerms,
  pauses: readonly number[] = PAUSES_MS,
  onCopied: () => void = () => undefined,
): Promise<void> {
  const { config } = context;
  const one = async (): Promise<void> => {
    const host = await openStateSession(config.host);
    try {
      await work(context, { pauses, terms, host, onCopied });
    } finally {
      await host.end().catch(() => undefined);
    }
  };
  const outcomes = await Promise.allSettled(Array.from({ length: Math.max(1, config.copy.jobs) }, one));
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed) throw failed.reason;
}

/** Copies chunks under the lease that the phase `copy`, in another process, has taken. Returns when none is left. */
export async function copyBeside(config: AgentConfig): Promise<void> {
  const context = await Context.create(config, COPY_WORKER);
  const brake = Brake.open(context);
  context.brake = brake;
  try {
    const generation = await context.state.fact<string>(COPY_LEASE_FACT);
    if (generation === undefined) throw new Failure('no copy is under way; start the copy runbook');
    const source = await context.connect('source');
    const relations = await readRelations(source, config);
    const terms = await copyTerms(context, source, relations, Lease.shared('copy', generation));
    await runWorkers(context, terms);
  } finally {
    await brake.close();
    await context.close();
  }
}

/** Starts this program once more, for `copyBeside`. It dies with this process. Throws Failure with its last words. */
export async function startBeside(): Promise<void> {
  const program = [process.execPath, ...process.execArgv, process.argv[1] ?? '', COPY_WORKER];
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...program], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (text: Buffer) => (said = `${said}${text.toString()}`.slice(-2_000)));
  await new Promise<void>((resolve, reject) => {
    child.once('error', (error) => reject(new Failure(`${COPY_WORKER} could not be started: ${oneLine(error)}`)));
    child.once('close', (code, signal) => {
      if (code === 0) resolve();
      else reject(new Failure(`${COPY_WORKER} ${signal ? `was ended by ${signal}` : 'failed'}: ${oneLine(said)}`));
    });
  });
}
