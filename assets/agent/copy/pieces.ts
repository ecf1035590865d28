import type { Client } from 'pg';
import { indexAscends, rangeColumns } from '../catalog/key-order';
import type { Relation } from '../catalog/relations';
import { cut, keyBounds, keyParts, pageParts, type Part } from './cuts';
import type { Chunk } from './schedule';

/** How often a chunk is tried as a whole: now and then somebody wants any table. */
const WHOLE = 2;

/**
 * How often others wait for the lock of a chunk until its relation is given up. Its pieces are halved as often, and no
 * further: it may be given back without an end for another reason.
 */
export const MOST_WAITED = 10;

/**
 * The pieces of a chunk that are read one by one, each with lock and snapshot of its own, so that an application that
 * locks the table every few seconds gets in between: smaller each time that the chunk was given back. The whole chunk
 * where nothing can be cut: changes of a relation without a usable key are not caught up, so it must be of one snapshot.
 */
export async function piecesOf(source: Client, relation: Relation, chunk: Chunk, version: number): Promise<Part[]> {
  const { part, givenBack } = chunk;
  const { key } = relation;
  if (givenBack < WHOLE || key === undefined || key.unusable !== undefined) return [part];
  const count = 2 ** (Math.min(givenBack, MOST_WAITED) - WHOLE + 1);
  if (part.kind === 'whole') return cut(source, relation, version, relation.bytes / count);
  if (part.kind === 'pages') return pageParts(source, relation, count, part);
  const columns = (await indexAscends(source, key)) ? rangeColumns(key) : [];
  const bounds = columns.length === 0 ? [] : await keyBounds(source, relation, columns, part, count);
  return bounds.length === 0 ? [part] : keyParts(bounds, part);
}
