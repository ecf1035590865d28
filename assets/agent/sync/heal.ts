import { bucardoRuns, lastWords, restartSync, startTimeout, syncProcesses } from '../bucardo/daemon';
import { BUCARDO_DATABASE } from '../bucardo/names';
import { REFUSED } from '../bucardo/runs';
import { connectToHost } from '../connect';
import type { AgentConfig } from '../config';
import { oneLine } from '../errors';
import { HostLost } from '../host-volume';
import { isLost } from '../lost';
import { sql } from '../sql';
import { handOver } from './applier';
import { catchUpInstead } from './catch-up-instead';
import type { Duty, Watch } from './duty';
import { noteTrouble } from './facts';
import { longestRunOf } from './longest-run';
import { looksWhileSynced, whileLooking } from './looks';
import { PLAN_FACT, type Plan } from './plan';
import type { RecopyTries } from './recopy-tries';
import type { StartTries } from './start-tries';
import { syncedRelations } from './synced';

/** Without any finished run for so long, and none under way, a sync is called stuck; seconds. */
const STUCK_SECONDS = 60;

/** Runs that fail one after the other until what they fail at is left to catch-up. */
const FAILED_RUNS = 3;

/** How long a sync may take to come back when it alone was started anew; milliseconds. */
const COME_BACK_MS = 20_000;

/** A run that is open but began before a later one ended well was left behind by a process that is dead. */
const RUNS = sql`
  WITH syncs AS (
    SELECT s.name, s.cdate, greatest(s.cdate, (SELECT max(ended) FROM bucardo.syncrun r
      WHERE r.sync = s.name AND (lastgood OR lastempty))) AS good FROM bucardo.sync s),
  since AS (SELECT s.name, r.* FROM syncs s JOIN bucardo.syncrun r ON r.sync = s.name AND r.started >= s.good)
  SELECT name, good > cdate AS well, extract(epoch FROM clock_timestamp() - good)::float8 AS idle,
    (SELECT extract(epoch FROM clock_timestamp() - max(started))::float8 FROM since r
      WHERE r.name = s.name AND ended IS NULL) AS running,
    (SELECT count(*)::int FROM since r WHERE r.name = s.name AND ${REFUSED}) AS refused,
    (SELECT status FROM since r WHERE r.name = s.name AND ${REFUSED} ORDER BY started DESC LIMIT 1) AS words
  FROM syncs s ORDER BY name`;

/** How the runs of a sync do. */
interface Runs {
  readonly name: string;
  /** Whether one has ended well since Bucardo was configured. */
  readonly well: boolean;
  /** Time since the last one that ended well; seconds. */
  readonly idle: number;
  /** How long the one that is under way takes already; seconds, null when there is none. */
  readonly running: number | null;
  /** Those since then that failed, and not for the moment only; with the newest one's words. */
  readonly refused: number;
  readonly words: string | null;
}

async function readRuns({ host }: AgentConfig): Promise<Runs[]> {
  const client = await connectToHost(host, BUCARDO_DATABASE);
  try {
    return (await client.query(RUNS)).rows as Runs[];
  } finally {
    await client.end();
  }
}

/**
 * Keeps Bucardo alive: starts all of it when its master is dead, and a single sync when only that is dead or stuck;
 * when the sync does not come back so, all of it. What fails again and again is tried less and less often; what Bucardo
 * cannot apply is given to catch-up, which applies all but the table at fault, and names that.
 */
export class Healer implements Duty {
  readonly name = 'heal';
  readonly everyMs = 1_000;

  constructor(
    private readonly watch: Watch,
    private readonly tries: StartTries,
    private readonly recopies: RecopyTries,
  ) {}

  async run(): Promise<void> {
    const { context } = this.watch;
    const { host } = context.config;
    // Catch-up may have handed over to other syncs meanwhile.
    const plan = await context.state.fact<Plan>(PLAN_FACT);
    if (!plan || !bucardoRuns(host)) return this.startAll('dead');
    this.tries.failing = false;
    const { alone } = this.tries;
    const runs = await readRuns(context.config);
    if (runs.every(({ well }) => well)) this.tries.refused = false;
    const refused = runs.filter((each) => each.refused >= FAILED_RUNS);
    if (refused[0] && this.tries.refusals.ready) return this.catchUp(refused[0]);
    // Those fail however often they are started.
    const names = Object.keys(plan).filter((name) => !refused.some((each) => each.name === name));
    const dead = names.filter((name) => syncProcesses(host, name).controller.length === 0);
    const stuck = runs.filter((each) => names.includes(each.name) && this.isStuck(each)).map(({ name }) => name);
    const sick = new Set([...dead, ...stuck]);
    for (const name of alone.keys()) if (!sick.has(name)) alone.delete(name);
    for (const name of sick) {
      const since = alone.get(name);
      if (since === undefined) await this.startOne(name, dead.includes(name) ? 'dead' : 'stuck');
      else if (performance.now() - since > COME_BACK_MS) return this.startAll(`${name} does not come back`);
    }
  }

  /** Whether a sync is at one run for too long, or at none and has finished none for long. */
  private isStuck({ idle, running, well }: Runs): boolean {
    const { context, relations } = this.watch;
    // Until its first run a sync is idle since Bucardo was told of it, and the start alone may take longer.
    const longestIdle = well ? STUCK_SECONDS : startTimeout(relations.length) / 1000;
    return running === null ? idle > longestIdle : running > longestRunOf(context.config);
  }

  private async catchUp({ name, words }: Runs): Promise<void> {
    this.tries.refusals.tried();
    // Stands until Bucardo itself has applied what it failed at.
    this.tries.refused = true;
    await catchUpInstead(this.watch, this.recopies, `${name} fails again and again: ${oneLine(words)}`, 'all');
  }

  private async startOne(sync: string, why: string): Promise<void> {
    const { context, ends } = this.watch;
    context.log.warn({ sync, why, lastWords: lastWords(context.config.host) }, 'a sync is started anew');
    await context.state.count('bucardo.sync-restarts', 1);
    this.tries.alone.set(sync, performance.now());
    await restartSync(context.config.host, sync, ends);
  }

  private async startAll(why: string): Promise<void> {
    const { tries } = this;
    if (!tries.whole.ready) return;
    const { context, ends } = this.watch;
    context.log.warn({ why, lastWords: lastWords(context.config.host) }, 'Bucardo is started');
    await context.state.count('bucardo.starts', 1);
    tries.whole.tried();
    tries.alone.clear();
    tries.failing = true;
    try {
      const relations = await syncedRelations(context, ends);
      // With thousands of relations that takes long enough for a key to be altered meanwhile.
      await whileLooking(context, looksWhileSynced, () => handOver(context, ends, relations));
      tries.failing = false;
    } catch (error) {
      if (isLost(error) || error instanceof HostLost) throw error;
      context.log.error({ err: error }, 'Bucardo does not start');
      await noteTrouble(context.state, error);
    }
  }
}
