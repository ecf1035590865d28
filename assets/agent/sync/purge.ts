import { notedRelations, purgeApplied } from '../bucardo/queues';
import { PipeBroken } from '../copy/pipe';
import { Spacing } from '../spacing';
import { DirtyKeys } from '../verify/dirty/dirty-keys';
import type { Duty, Watch } from './duty';
import { heartbeatOf } from './heartbeat';
import { PLAN_FACT, type Plan } from './plan';
import type { SickRelations } from './sick-relations';

/** How long one purge may take before it leaves the rest to the next one: other duties wait meanwhile; milliseconds. */
const LONGEST_MS = 5_000;

/** Forgets what Bucardo has applied, relation by relation, and marks it to be compared again. */
export class Purge implements Duty {
  readonly name = 'purge';
  readonly everyMs = 5_000;
  readonly spacing = new Spacing();
  private dirty: DirtyKeys | undefined;
  /** The relation that was purged last. */
  private last = '';

  constructor(
    private readonly watch: Watch,
    private readonly sick: SickRelations,
  ) {}

  async run(): Promise<void> {
    const { context, ends, relations } = this.watch;
    const plan = (await context.state.fact<Plan>(PLAN_FACT)) ?? {};
    const all = [...relations, ...Object.keys(plan).map(heartbeatOf)];
    this.sick.only(all);
    const next = all.findIndex(({ sql }) => sql === this.last) + 1;
    const turn = [...all.slice(next), ...all.slice(0, next)].filter((relation) => this.sick.mayBeTried(relation));
    const noted = new Set(await this.spacing.run(() => notedRelations(ends.source, turn)));
    // Reading that of thousands of tables may take longer by itself.
    const began = performance.now();
    for (const relation of turn) {
      if (!noted.has(relation)) {
        this.sick.well(relation);
        continue;
      }
      if (performance.now() - began > LONGEST_MS) break;
      this.last = relation.sql;
      const dirty = (this.dirty ??= await DirtyKeys.open(context));
      try {
        await purgeApplied(ends.source, relation, dirty);
        this.sick.well(relation);
      } catch (error) {
        await this.close();
        this.sick.failed(relation, error, context.log);
        // The source's session is closed with it; the next one leaves this relation alone at first.
        if (!(error instanceof PipeBroken)) continue;
        await this.sick.tell(context.state);
        throw error;
      }
    }
    await this.sick.tell(context.state);
  }

  async close(): Promise<void> {
    await this.dirty?.close();
    this.dirty = undefined;
  }
}
