import type { Relation } from '../catalog/relations';
import type { Context } from '../context';
import type { Spacing } from '../spacing';
import type { Ends } from './applier';

/** What the duties of the supervisor work with. */
export interface Watch {
  readonly context: Context;
  readonly ends: Ends;
  readonly relations: readonly Relation[];
}

/** What the source is looked at with; without relations where nobody applies any by themselves. */
export type Looked = Pick<Watch, 'context' | 'ends'> & Partial<Pick<Watch, 'relations'>>;

/** Something that the supervisor does again and again, one after the other. What it throws makes all begin anew. */
export interface Duty {
  readonly name: string;
  /** Shortest time between two runs; milliseconds. */
  readonly everyMs: number;
  /** Spaces its reading of all tables, which takes seconds where there are thousands. @default it reads none, or few rows */
  readonly spacing?: Spacing;
  readonly run: () => Promise<void>;
}

/** Runs each duty that is due, in their order. */
export class Duties {
  private readonly dueAt = new Map<string, number>();

  constructor(private readonly duties: readonly Duty[]) {}

  async runDue(): Promise<void> {
    for (const duty of this.duties) {
      if (performance.now() < (this.dueAt.get(duty.name) ?? 0) || duty.spacing?.due === false) continue;
      await duty.run();
      this.dueAt.set(duty.name, performance.now() + duty.everyMs);
    }
  }
}
