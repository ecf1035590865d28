import type { Client } from 'pg';
import { readRelations, type Relation } from '../catalog/relations';
import type { AgentConfig } from '../config';
import { readFormats, type CopyFormat } from '../copy/format';
import { concernsAll } from '../failures';
import { columnDifferences } from '../schema/same-columns';
import type { Portion, Sessions } from './apply';
import { readBacklog, type Backlog } from './backlog';
import { cutAnew, type CutAnew } from './copy-anew';
import { cutQueue, type Cut } from './cut-queue';
import type { Exported } from './exported';

/** How a backlog is cut. */
export interface Cutting {
  /** Changes from which a queue is long; also those of one range, about. */
  readonly batch: number;
  /** How many are applied side by side. */
  readonly hands: number;
  /** A snapshot to apply to. @default the newest one of each portion */
  readonly snapshot?: Exported | undefined;
}

/** How a backlog was cut. */
export interface Portions {
  readonly portions: (Portion & { readonly relation: Relation })[];
  /** Relations that could not be cut, with the cause: all at once, they might be too much for the source. */
  readonly failed: readonly { readonly relation: Relation; readonly error: unknown }[];
}

/**
 * Cuts the backlog of these relations into what is applied at once: a short queue as a whole, a long one in ranges
 * where that may be, and a large relation that is to be copied anew in parts, unless one snapshot is held anyway.
 */
export async function makePortions(
  { source, target }: Sessions,
  config: AgentConfig,
  relations: readonly Relation[],
  { batch, hands, snapshot }: Cutting,
): Promise<Portions> {
  const backlog = await readBacklog(source, relations, batch);
  const chunkBytes = config.copy.chunkMegabytes * 1_000_000;
  const cut = async ({ relation, changes, truncated }: Backlog): Promise<Cut | CutAnew | undefined> => {
    if (truncated) return snapshot === undefined ? cutAnew(source, target, relation, chunkBytes) : undefined;
    return changes < batch ? undefined : cutQueue(source, target, relation, batch, hands);
  };
  // Of a long one each worker gets a part, and few changes would wait for all of it.
  const isLong = ({ changes, truncated }: Backlog): boolean => truncated || changes >= batch;
  const inOrder = [...backlog.filter((each) => !isLong(each)), ...backlog.filter(isLong)];
  const cuts = new Map<Relation, Cut | CutAnew | undefined>();
  const failed: { relation: Relation; error: unknown }[] = [];
  for (const each of inOrder) {
    try {
      cuts.set(each.relation, await cut(each));
    } catch (error) {
      if (concernsAll(error)) throw error;
      failed.push({ relation: each.relation, error });
    }
  }
  const long = backlog.filter(({ relation, changes }) => changes >= batch || cuts.get(relation) !== undefined);
  const formats = await formatsOf(
    source,
    target,
    config,
    long.map(({ relation }) => relation),
  );
  const portions = [...cuts].flatMap(([relation, { ranges, ...how } = { ranges: [undefined] }]) =>
    ranges.map((range) => ({ relation, snapshot, format: formats.get(relation), range, ...how })),
  );
  return { portions, failed };
}

/**
 * How rows of long queues are written: in binary, which both servers read with less work, where the target's columns
 * are of the source's types, which somebody may have changed since. With short queues nobody is asked: they may be
 * applied within the write pause.
 */
async function formatsOf(
  source: Client,
  target: Client,
  config: AgentConfig,
  long: readonly Relation[],
): Promise<Map<Relation, CopyFormat>> {
  if (long.length === 0) return new Map();
  const there = await readRelations(target, config);
  const possible = await readFormats(source);
  return new Map(
    long.map((relation) => [relation, columnDifferences([relation], there).length === 0 ? possible(relation) : 'text']),
  );
}
