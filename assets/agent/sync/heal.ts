import { bucardoRuns, lastWords, restartSync, syncProcesses } from '../bucardo/daemon';
import { BUCARDO_DATABASE } from '../bucardo/names';
import { connectToHost } from '../connect';
import type { HostConfig } from '../config';
import { isLost } from '../copy/sessions';
import { sql } from '../sql';
import { handOver } from './applier';
import type { Duty, Watch } from './duty';
import { noteTrouble } from './facts';
import { PLAN_FACT, type Plan } from './plan';
import type { StartTries } from './start-tries';
import { syncedRelations } from './synced';

/** Without any finished run for so long, and none under way, a sync is called stuck; seconds. */
const STUCK_SECONDS = 60;

/** A run that takes longer hangs: what takes so long would have been given to catch-up; seconds. */
const LONGEST_RUN_SECONDS = 900;

/** How long a sync may take to come back when it alone was started anew; milliseconds. */
const COME_BACK_MS = 20_000;

const IDLE = sql`
  SELECT s.name, extract(epoch FROM clock_timestamp() - greatest(s.cdate,
      (SELECT max(ended) FROM bucardo.syncrun r WHERE r.sync = s.name AND (lastgood OR lastempty))))::float8 AS idle,
    EXISTS (SELECT FROM bucardo.syncrun r WHERE r.sync = s.name AND ended IS NULL
      AND started > clock_timestamp() - interval '${LONGEST_RUN_SECONDS} seconds') AS busy
  FROM bucardo.sync s ORDER BY s.name`;

interface Idle {
  readonly name: string;
  readonly idle: number;
  readonly busy: boolean;
}

/** Names of the syncs that have neither finished a run for long nor are at one that may still end. */
async function stuckSyncs(host: HostConfig): Promise<string[]> {
  const client = await connectToHost(host, BUCARDO_DATABASE);
  try {
    const { rows } = await client.query(IDLE);
    return (rows as Idle[]).filter(({ idle, busy }) => !busy && idle > STUCK_SECONDS).map(({ name }) => name);
  } finally {
    await client.end();
  }
}

/**
 * Keeps Bucardo alive: starts all of it when its master is dead, and a single sync when only that is dead or stuck;
 * when the sync does not come back so, all of it. What fails again and again is tried less and less often.
 */
export class Healer implements Duty {
  readonly name = 'heal';
  readonly everyMs = 1_000;
  private plan: Plan | undefined;

  constructor(
    private readonly watch: Watch,
    private readonly tries: StartTries,
  ) {}

  async run(): Promise<void> {
    const { context } = this.watch;
    const { host } = context.config;
    this.plan ??= await context.state.fact<Plan>(PLAN_FACT);
    if (!this.plan || !bucardoRuns(host)) return this.startAll('dead');
    this.tries.failing = false;
    const { alone } = this.tries;
    const names = Object.keys(this.plan);
    const dead = names.filter((name) => syncProcesses(host, name).controller.length === 0);
    const sick = new Set([...dead, ...(await stuckSyncs(host))]);
    for (const name of alone.keys()) if (!sick.has(name)) alone.delete(name);
    for (const name of sick) {
      const since = alone.get(name);
      if (since === undefined) await this.startOne(name, dead.includes(name) ? 'dead' : 'stuck');
      else if (performance.now() - since > COME_BACK_MS) return this.startAll(`${name} does not come back`);
    }
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
      this.plan = await handOver(context, ends, await syncedRelations(context, ends));
      tries.failing = false;
    } catch (error) {
      if (isLost(error)) throw error;
      context.log.error({ err: error }, 'Bucardo does not start');
      await noteTrouble(context.state, error);
    }
  }
}
