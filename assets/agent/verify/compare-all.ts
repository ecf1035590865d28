import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { UNBRAKED, type Paced } from '../brake/paced';
import type { Relation } from '../catalog/relations';
import { Failure, oneLine } from '../errors';
import { readTypeShapes } from '../type-shapes';
import { RateLimit } from '../copy/rate-limit';
import { Reconnecting, type Closable } from '../copy/reconnecting';
import { HostFull, HostLost } from '../host-volume';
import { isLost } from '../lost';
import { compareRelation, type CompareOptions } from './compare-relation';
import { differing, joinComparisons, type DifferenceKind, type RelationComparison } from './comparison';
import { explainTooLarge } from './too-large';
import { sectionCount, sectionsOf, type Section } from './sections';

/** What `compareAll` needs. */
export interface CompareAllOptions {
  /** Opens a session that already stands in the snapshot to be compared, or in none (each statement its own). */
  readonly openSource: () => Promise<Client>;
  readonly openTarget: () => Promise<Client>;
  /** As the source has them; compared in this order, so the largest should be first. */
  readonly relations: readonly Relation[];
  /** Workers, each with one session on each end; several may be at different ranges of one relation. */
  readonly jobs: number;
  /** Limit of all workers together; rows of the source a second, 0 for none. @default 0 */
  readonly maxRowsPerSecond?: number;
  /** Holds chunks up while the source is in need. @default nothing does */
  readonly paced?: Pick<Paced, 'wait' | 'clear'>;
  /** Rows in one chunk. */
  readonly chunkRows: number;
  /** Pauses between tries of a section whose server is gone; milliseconds. @default none: it is tried once */
  readonly pauses?: readonly number[];
  /** Told of each section that is tried again. */
  readonly onInterrupted?: (relation: string, error: unknown, pause: number) => void;
  /** Called after each chunk. */
  readonly onProgress?: (progress: CompareProgress) => void;
  /** Opens a session on the host's memory, as `CompareOptions` tell. @default none */
  readonly openMemory?: () => Promise<Client>;
  /** Compares one relation, or a range of it. @default compareRelation */
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

/** How often a server may be lost while it is at one section: each time may be a crash of the source. */
const MOST_LOSSES = 3;

/** The same while it is at others, too. What it is lost at as often is compared alone then, and may lose it once more. */
const MOST_LOSSES_BESIDE = MOST_LOSSES - 1;

/** A server was lost at a section as often as it may be. */
class LostAgain extends Failure {}

/** How many differences a result shows. */
const EXAMPLES = 20;

/** Compares all relations with several workers. Never throws for what one relation is to blame for. */
export async function compareAll(options: CompareAllOptions): Promise<Comparison> {
  const began = performance.now();
  const run = new Run(options, await planSections(options));
  await run.all();
  const failed = new Set(run.notCompared.map(({ relation }) => relation));
  const compared = joinComparisons(run.comparisons).filter(({ relation }) => !failed.has(relation));
  return summary(compared, run.notCompared, (performance.now() - began) / 1000);
}

/** Cuts what is large enough. What cannot be cut stays whole: comparing it then says what is wrong. */
async function planSections({ openSource, relations, jobs, chunkRows }: CompareAllOptions): Promise<Section[]> {
  const counts = new Map(relations.map((relation) => [relation, sectionCount(relation, jobs, chunkRows)]));
  if ([...counts.values()].every((count) => count === 1)) return relations.map((relation) => ({ relation }));
  const source = await openSource().catch(() => undefined);
  const sections: Section[] = [];
  for (const [relation, count] of counts) {
    const cut =
      source && count > 1 ? await sectionsOf(source, relation, count, chunkRows).catch(() => undefined) : undefined;
    sections.push(...(cut ?? [{ relation }]));
  }
  await source?.end().catch(() => undefined);
  return sections;
}

class Run {
  readonly comparisons: RelationComparison[] = [];
  readonly notCompared: NotCompared[] = [];
  private readonly queue: Section[];
  private readonly left = new Map<Relation, number>();
  /** How often a server was lost at a section. */
  private readonly losses = new Map<Section, number>();
  /** Sections at which it was lost too often while it was at others, too, any of which may have cost it all sessions. */
  private readonly suspects: Section[] = [];
  private isAlone = false;
  private readonly limit: RateLimit;
  private rows = 0;
  private relationsDone = 0;

  constructor(
    private readonly options: CompareAllOptions,
    sections: readonly Section[],
  ) {
    this.queue = [...sections];
    for (const { relation } of sections) this.left.set(relation, (this.left.get(relation) ?? 0) + 1);
    this.limit = new RateLimit(options.maxRowsPerSecond ?? 0);
  }

  /** Compares every section. Which of those costs the server its sessions at which it was lost, shows when each is alone. */
  async all(): Promise<void> {
    const jobs = Math.max(1, this.options.jobs);
    this.isAlone = jobs === 1;
    await Promise.all(Array.from({ length: jobs }, () => this.work()));
    this.isAlone = true;
    this.queue.push(...this.suspects);
    await this.work();
  }

  /**
   * Takes sections until none is left. Sessions are replaced after an error, which may have left them unusable. A server
   * that stays away is waited for once: what is left then could not be compared either.
   */
  private async work(): Promise<void> {
    const { options } = this;
    const sessions = new Reconnecting(() => openSessions(options), options.pauses ?? []);
    try {
      for (let section = this.queue.shift(); section; section = this.queue.shift()) {
        const { relation } = section;
        try {
          if (!this.hasFailed(relation)) {
            this.comparisons.push(
              await sessions.run(
                (open) => this.unlessLostAgain(section as Section, this.one(open, section as Section)),
                (error, pause) => options.onInterrupted?.(relation.sql, error, pause),
              ),
            );
          }
        } catch (error) {
          if (error instanceof LostAgain && !this.isAlone) {
            this.suspects.push(section);
            continue;
          }
          const isHost = error instanceof HostLost && !(error instanceof HostFull);
          if ((isLost(error) || isHost) && options.pauses) this.giveUp(section, error);
          else this.fail(relation, (await explainTooLarge(error, section, options)) ?? oneLine(error));
        }
        const left = (this.left.get(relation) ?? 1) - 1;
        this.left.set(relation, left);
        if (left === 0) this.relationsDone++;
      }
    } finally {
      await sessions.close();
    }
  }

  /** What costs a session again may cost the server each time, as a row that is too large for it: it is left alone then. */
  private async unlessLostAgain<T>(section: Section, work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (!isLost(error)) throw error;
      const losses = (this.losses.get(section) ?? 0) + 1;
      this.losses.set(section, losses);
      if (losses < (this.isAlone ? MOST_LOSSES : MOST_LOSSES_BESIDE)) throw error;
      throw new LostAgain(
        `${losses} times a server ended the session that compared it, at last with: ${oneLine(error)}; look into that server's log, then start verify again`,
      );
    }
  }

  private giveUp(section: Section, error: unknown): void {
    const cause = `${oneLine(error)}; bring that server back, then start verify again`;
    for (const { relation } of [section, ...this.queue.splice(0)]) this.fail(relation, cause);
  }

  /** A relation of which one section cannot be compared is not compared, whatever its others found or would find. */
  private fail(relation: Relation, cause: string): void {
    if (!this.hasFailed(relation)) this.notCompared.push({ relation: relation.sql, cause });
  }

  private hasFailed({ sql }: Relation): boolean {
    return this.notCompared.some(({ relation }) => relation === sql);
  }

  private one({ source, target, shapes }: Sessions, { relation, ...range }: Section): Promise<RelationComparison> {
    const { chunkRows, onProgress, openMemory, paced = UNBRAKED, compare = compareRelation } = this.options;
    return compare({
      source,
      target,
      shapes,
      ...(openMemory && { openMemory }),
      relation,
      range,
      chunkRows,
      onChunk: async (rows, again = 0) => {
        this.rows += rows;
        onProgress?.({ rows: this.rows, relation: relation.sql, relationsDone: this.relationsDone });
        const wait = Math.max(this.limit.take(rows + again), paced.wait());
        if (wait > 0) await sleep(wait);
        await paced.clear();
      },
    });
  }
}

type Sessions = Required<Pick<CompareOptions, 'source' | 'target' | 'shapes'>> & Closable;

async function openSessions({ openSource, openTarget }: CompareAllOptions): Promise<Sessions> {
  const [source, target] = await Promise.allSettled([openSource(), openTarget()]);
  if (source.status === 'fulfilled' && target.status === 'fulfilled') {
    const ends = [source.value, target.value] as const;
    const end = (): Promise<unknown> => Promise.allSettled(ends.map((client) => client.end()));
    try {
      return { source: source.value, target: target.value, shapes: await readTypeShapes(source.value), end };
    } catch (error) {
      await end();
      throw error;
    }
  }
  for (const end of [source, target]) if (end.status === 'fulfilled') await end.value.end().catch(() => undefined);
  throw (source.status === 'rejected' ? source : (target as PromiseRejectedResult)).reason;
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
