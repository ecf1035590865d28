import type { Client } from 'pg';
import { readRelations, type Relation } from '../catalog/relations';
import type { AgentConfig } from '../config';
import { readFormats, type CopyFormat } from '../copy/format';
import { columnDifferences } from '../schema/same-columns';
import type { Portion, Sessions } from './apply';
import { readBacklog } from './backlog';
import { cutQueue } from './cut-queue';

/**
 * Cuts the backlog of these relations into what is applied at once: a short queue as a whole, a long one in ranges
 * where that may be.
 *
 * @param batch changes from which a queue is long; also those of one range, about
 * @param hands how many are applied side by side
 */
export async function makePortions(
  { source, target }: Sessions,
  config: AgentConfig,
  relations: readonly Relation[],
  batch: number,
  hands: number,
): Promise<(Portion & { readonly relation: Relation })[]> {
  const backlog = await readBacklog(source, relations, batch);
  const long = backlog.filter(({ changes }) => changes >= batch).map(({ relation }) => relation);
  const formats = await formatsOf(source, target, config, long);
  const portions: (Portion & { readonly relation: Relation })[] = [];
  for (const { relation } of backlog) {
    const all = { relation, format: formats.get(relation) };
    const cut = long.includes(relation) ? await cutQueue(source, target, relation, batch, hands) : undefined;
    if (cut === undefined) portions.push(all);
    else {
      const { ranges, ...how } = cut;
      portions.push(...ranges.map((range) => ({ ...all, range, ...how })));
    }
  }
  return portions;
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
