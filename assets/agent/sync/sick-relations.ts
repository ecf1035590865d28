import type { Relation } from '../catalog/relations';
import { HostLost } from '../host-volume';
import type { Logger } from '../log';
import type { State } from '../state';
import { oneLine } from '../errors';
import { isFull, isLost, isPassing } from '../lost';
import { BackOff } from './back-off';
import type { Problems } from './facts';

/** A relation that is left alone, and what is told of it; nothing of one that may be free in a moment. */
interface Sick {
  readonly backOff: BackOff;
  readonly line: string | undefined;
}

/**
 * Relations that a duty of the supervisor fails at. Each is left alone for a while, longer and longer, so that it holds up
 * no other, and stands as a problem by name until the duty is done with it.
 */
export class SickRelations {
  private readonly sick = new Map<string, Sick>();
  private told: string | undefined;

  /**
   * @param factName fact of the problems, of type `Problems | null`
   * @param what predicate of a sentence whose subject is the relation
   */
  constructor(
    private readonly factName: string,
    private readonly what: string,
  ) {}

  /** Whether the relation may be tried now. */
  mayBeTried({ sql }: Pick<Relation, 'sql'>): boolean {
    return this.sick.get(sql)?.backOff.ready ?? true;
  }

  /**
   * Takes note of a failure. Throws it again when it is no fault of the relation's, but of a server that is gone, or of the
   * host. Where only there is no room for a session more, who has one must not lose it.
   */
  failed({ sql }: Pick<Relation, 'sql'>, error: unknown, log: Logger): void {
    if ((isLost(error) && !isFull(error)) || error instanceof HostLost) throw error;
    const before = this.sick.get(sql);
    const backOff = before?.backOff ?? new BackOff();
    backOff.tried();
    if (isPassing(error)) {
      this.sick.set(sql, { backOff, line: before?.line });
      return;
    }
    const line = `${sql} ${this.what}: ${oneLine(error)}`;
    log.error({ relation: sql, cause: oneLine(error) }, `a relation ${this.what}`);
    this.sick.set(sql, { backOff, line });
  }

  /** Whether the relation stands as a problem. */
  isTold({ sql }: Pick<Relation, 'sql'>): boolean {
    return this.sick.get(sql)?.line !== undefined;
  }

  well({ sql }: Pick<Relation, 'sql'>): void {
    this.sick.delete(sql);
  }

  /** Forgets what is not among these any more. */
  only(relations: readonly Pick<Relation, 'sql'>[]): void {
    if (this.sick.size === 0) return;
    const names = new Set(relations.map(({ sql }) => sql));
    for (const name of this.sick.keys()) if (!names.has(name)) this.sick.delete(name);
  }

  /** Keeps the problems as they are now; for the first time also that there are none. */
  async tell(state: State): Promise<void> {
    const problems = [...this.sick.values()].flatMap(({ line }) => line ?? []);
    const text = JSON.stringify(problems);
    if (text === this.told) return;
    await state.setFact(this.factName, problems.length > 0 ? ({ problems } satisfies Problems) : null);
    this.told = text;
  }
}
