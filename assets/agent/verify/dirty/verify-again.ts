import type { Relation } from '../../catalog/relations';
import type { Context } from '../../context';
import { oneLine } from '../../errors';
import { UNEQUAL_FACT, type Unequal } from '../../sync/relation-problems';
import { compareRows } from '../rows';
import { DirtyKeys } from './dirty-keys';

/** Time after which a relation is tried again that could not be verified, or was found different; milliseconds. */
const AGAIN_MS = 600_000;

/** Time from one look for such relations to the next; milliseconds. */
const LOOK_MS = 5_000;

/**
 * Verifies relations as a whole that were copied anew after a TRUNCATE, or left behind by a rollback, beside other work and
 * one at a time, so that the pause finds them known. On the way back, where nobody starts a verify, every relation of which
 * nothing is known.
 */
export class VerifyAgain {
  private running: Promise<void> | undefined;
  private lookAt = -Infinity;

  /**
   * @param notBefore when each relation may be tried again; milliseconds of the process's clock. To be kept by who begins
   * anew after a failure, so that a long comparison which that cut off does not begin anew each time. @default at once
   */
  constructor(
    private readonly context: Context,
    private readonly notBefore = new Map<string, number>(),
  ) {}

  /**
   * Compares one relation that needs it, unless one is under way or the source is in need. Who has other work does not
   * wait for it: it ends with the sessions of the context at the latest.
   */
  async step(relations: readonly Relation[]): Promise<void> {
    if (this.running !== undefined || performance.now() < this.lookAt || this.context.brake.pace !== 'free') return;
    this.lookAt = performance.now() + LOOK_MS;
    this.running = this.one(relations)
      .catch((error: unknown) => this.context.log.warn({ cause: oneLine(error) }, 'a relation was not verified again'))
      .finally(() => (this.running = undefined));
    return this.running;
  }

  private async one(relations: readonly Relation[]): Promise<void> {
    const dirty = await DirtyKeys.open(this.context);
    const standing = await dirty.standing(relations).finally(() => dirty.close());
    const unknown = standing.filter(({ verifiedAt }) => verifiedAt === null).map(({ relation }) => relation.sql);
    const unequal = await this.unequalAmong(unknown);
    const every = this.context.direction === 'back';
    const next = standing.find(
      ({ relation, verifiedAt, again }) =>
        verifiedAt === null && (again || every) && performance.now() >= (this.notBefore.get(relation.sql) ?? 0),
    );
    if (next === undefined) return;
    this.notBefore.set(next.relation.sql, performance.now() + AGAIN_MS);
    const began = performance.now();
    const { ok, rowsCompared, rowsDifferent, notCompared } = await compareRows(this.context, [next.relation]);
    const found = { relation: next.relation.sql, rowsCompared, rowsDifferent, notCompared };
    if (rowsDifferent > 0) {
      await this.context.state.setFact(UNEQUAL_FACT, { ...unequal, [next.relation.sql]: rowsDifferent });
    }
    if (!ok) return this.context.log.error(found, 'a relation differs, or cannot be compared');
    const known = await DirtyKeys.open(this.context);
    const [now] = await known.standing([next.relation]).finally(() => known.close());
    if (now?.verifiedAt === null) {
      const pause = Math.min(AGAIN_MS, performance.now() - began);
      this.notBefore.set(next.relation.sql, performance.now() + pause);
      return this.context.log.warn(found, 'copied anew, or given up, while it was compared; compared once more later');
    }
    this.notBefore.delete(next.relation.sql);
    this.context.log.info(found, 'verified again as a whole');
    await this.unequalAmong(unknown.filter((name) => name !== next.relation.sql));
  }

  /** Keeps of what was found different only these relations; whoever has verified the others since found them equal. */
  private async unequalAmong(names: readonly string[]): Promise<Unequal> {
    const { state } = this.context;
    const known = Object.entries((await state.fact<Unequal>(UNEQUAL_FACT)) ?? {});
    const left = known.filter(([name]) => names.includes(name));
    if (left.length < known.length) await state.setFact(UNEQUAL_FACT, Object.fromEntries(left));
    return Object.fromEntries(left);
  }
}
