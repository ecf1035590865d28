import type { Client } from 'pg';
import type { KeyRange } from '../catalog/key-order';
import type { Relation } from '../catalog/relations';
import { sampleBounds } from '../copy/cuts';
import { chunkColumns } from './chunk-columns';

/** A relation, or a range of its key, that one worker compares. */
export interface Section extends KeyRange {
  readonly relation: Relation;
}

/** Chunks that a section should have at least, so that the sample pays. */
const LEAST_CHUNKS = 10;

/** Sections for each worker: ranges of a sample are uneven, and the last worker should not be alone for long. */
const PER_JOB = 4;

/** Bytes of a row, for relations whose rows nobody has counted yet. */
const USUAL_ROW = 100;

/** Into how many sections a relation should be cut; 1 leaves it whole. */
export function sectionCount(relation: Relation, jobs: number, chunkRows: number): number {
  if (jobs < 2) return 1;
  const rows = Math.max(relation.rows, relation.bytes / USUAL_ROW);
  return Math.max(1, Math.min(jobs * PER_JOB, Math.floor(rows / (chunkRows * LEAST_CHUNKS))));
}

/**
 * Cuts a relation by its key, so that several workers can compare it at once; together the sections hold every key there
 * may be. One that cannot be compared in ranges stays whole.
 */
export async function sectionsOf(
  source: Client,
  relation: Relation,
  count: number,
  chunkRows: number,
): Promise<Section[]> {
  const columns = count < 2 ? [] : await chunkColumns(source, relation, chunkRows);
  if (columns.length === 0) return [{ relation }];
  const bounds = await sampleBounds(source, relation, columns, count);
  const ends: (readonly string[] | undefined)[] = [undefined, ...bounds, undefined];
  return ends.slice(1).map((upTo, i) => {
    const after = ends[i];
    return { relation, ...(after && { after }), ...(upTo && { upTo }) };
  });
}
