import type { Client } from 'pg';
import type { Relation } from '../catalog/relations';
import { oneLine } from '../errors';
import { readTypeShapes } from '../type-shapes';
import { compareRelation, type CompareOptions } from './compare-relation';
import { differing, type DifferenceKind, type RelationComparison } from './comparison';

/** What `compareAll` needs. */
export interface CompareAllOptions {
  /** Opens a session that already stands in the snapshot to be compared, or in none (each statement its own). */
  readonly openSource: () => Promise<Client>;
  readonly openTarget: () => Promise<Client>;
  /** As the source has them; compared in this order, so the largest should be first. */
  readonly relations: readonly Relation[];
  /** Workers, each with one session on each end. */
  readonly jobs: number;
  /** Rows in one chunk. */
  readonly chunkRows: number;
  /** Called after each chunk. */
  readonly onProgress?: (progress: CompareProgress) => void;
  /** Compares one relation. @default compareRelation */
  readonly compare?: (options: CompareOptions) => Promise<RelationComparison>;
}

/** How far a comparison is. */
export interface CompareProgress {
  readonly rows: number;
  /** The relation whose chunk was compared last, quoted. */
  readonly relation: string;
  readonly relationsDone: number;
}

/** A relation that could not be compared, which is never a match. */
export interface NotCompared {
  readonly relation: string;
  readonly cause: string;
}

/** One example of a difference. */
export interface DifferenceExample {
  readonly relation: string;
  readonly key: readonly string[];
  readonly kind: DifferenceKind;
}

/** What the comparison of all relations found. */
export interface Comparison {
  /** All relations were compared, and no row differs. */
  readonly ok: boolean;
  /** Rows of the source that were compared. */
  readonly rowsCompared: number;
  readonly rowsDifferent: number;
  /** Rows that were still on their way at the end; only in a live comparison. */
  readonly inFlight: number;
  /** Relations that were compared. */
  readonly relations: number;
  readonly seconds: number;
  readonly notCompared: readonly NotCompared[];
  /** At most `EXAMPLES`. */
  readonly examples: readonly DifferenceExample[];
  readonly comparisons: readonly RelationComparison[];
}

/** How many differences a result shows. */
const EXAMPLES = 20;

/** Compares all relations with several workers. Never throws for what one relation is to blame for. */
export async function compareAll(options: CompareAllOptions): Promise<Comparison> {
  const began = performance.now();
  const run = new Run(options);
  const workers = Math.min(Math.max(1, options.jobs), options.relations.length);
  await Promise.all(Array.from({ length: workers }, () => run.work()));
  return summary(run.comparisons, run.notCompared, (performance.now() - began) / 1000);
}

class Run {
  readonly comparisons: RelationComparison[] = [];
  readonly notCompared: NotCompared[] = [];
  private readonly queue: Relation[];
  private rows = 0;

  constructor(private readonly options: CompareAllOptions) {
    this.queue = [...options.relations];
  }

  /** Takes relations until none is left. Sessions are replaced after an error, which may have left them unusable. */
  async work(): Promise<void> {
    let sessions: Sessions | undefined;
    try {
      for (let relation = this.queue.shift(); relation; relation = this.queue.shift()) {
        try {
          sessions ??= await openSessions(this.options);
          this.comparisons.push(await this.one(sessions, relation));
        } catch (error) {
          this.notCompared.push({ relation: relation.sql, cause: oneLine(error) });
          await closeSessions(sessions);
          sessions = undefined;
        }
      }
    } finally {
      await closeSessions(sessions);
    }
  }

  private one(sessions: Sessions, relation: Relation): Promise<RelationComparison> {
    const { chunkRows, onProgress, compare = compareRelation } = this.options;
    return compare({
      ...sessions,
      relation,
      chunkRows,
      onChunk: (rows) => {
        this.rows += rows;
        const relationsDone = this.comparisons.length + this.notCompared.length;
        onProgress?.({ rows: this.rows, relation: relation.sql, relationsDone });
      },
    });
  }
}

type Sessions = Required<Pick<CompareOptions, 'source' | 'target' | 'shapes'>>;

async function openSessions({ openSource, openTarget }: CompareAllOptions): Promise<Sessions> {
  const [source, target] = await Promise.allSettled([openSource(), openTarget()]);
  if (source.status === 'fulfilled' && target.status === 'fulfilled') {
    const shapes = await readTypeShapes(source.value);
    return { source: source.value, target: target.value, shapes };
  }
  for (const end of [source, target]) if (end.status === 'fulfilled') await end.value.end().catch(() => undefined);
  throw (source.status === 'rejected' ? source : (target as PromiseRejectedResult)).reason;
}

async function closeSessions(sessions: Sessions | undefined): Promise<void> {
  await Promise.allSettled([sessions?.source.end(), sessions?.target.end()]);
}

function summary(
  comparisons: readonly RelationComparison[],
  notCompared: readonly NotCompared[],
  seconds: number,
): Comparison {
  const total = (of: (comparison: RelationComparison) => number): number =>
    comparisons.reduce((sum, comparison) => sum + of(comparison), 0);
  const rowsDifferent = total((comparison) => differing(comparison.differences));
  return {
    ok: rowsDifferent === 0 && notCompared.length === 0,
    rowsCompared: total((comparison) => comparison.sourceRows),
    rowsDifferent,
    inFlight: total((comparison) => comparison.inFlight),
    relations: comparisons.length,
    seconds,
    notCompared,
    examples: comparisons
      .flatMap(({ relation, keys }) => keys.map(({ key, kind }) => ({ relation, key, kind })))
      .slice(0, EXAMPLES),
    comparisons,
  };
}
