import type { Client } from 'pg';
import { queueOf } from '../capture/names';
import { TRUNCATED } from '../capture/objects';
import type { Relation } from '../catalog/relations';
import { literal } from '../sql';

/** Relations in one statement; each is a short look into an index or an empty table. */
const BATCH = 200;

/** A relation with changes that the target lacks. */
export interface Backlog {
  readonly relation: Relation;
  /** Changes, counted up to the given limit, and how often it was truncated. */
  readonly changes: number;
  /** Whether it was truncated, so that it must be copied anew, which only catch-up can do. */
  readonly truncated: boolean;
}

/**
 * Which relations have changes in their queue, or were truncated; counted up to `limit` each, so that asking is cheap
 * however long the queues are.
 */
export async function readBacklog(source: Client, relations: readonly Relation[], limit: number): Promise<Backlog[]> {
  const backlog: Backlog[] = [];
  for (let start = 0; start < relations.length; start += BATCH) {
    const batch = relations.slice(start, start + BATCH);
    const { rows } = await source.query(
      batch.map((relation, index) => count(relation, index, limit)).join(' UNION ALL '),
    );
    for (const { index, queued, marks } of rows as { index: number; queued: string; marks: string }[]) {
      const relation = batch[index];
      const changes = Number(queued) + Number(marks);
      if (relation && changes > 0) backlog.push({ relation, changes, truncated: Number(marks) > 0 });
    }
  }
  return backlog;
}

/** Those relations whose changes are captured, or were. */
export async function withQueue(source: Client, relations: readonly Relation[]): Promise<Relation[]> {
  const { rows } = await source.query(
    'SELECT ARRAY(SELECT to_regclass(q.name) IS NOT NULL FROM unnest($1::text[]) WITH ORDINALITY AS q (name, n) ORDER BY n) AS there',
    [relations.map(queueOf)],
  );
  const { there } = rows[0] as { there: boolean[] };
  return relations.filter((_, index) => there[index]);
}

function count(relation: Relation, index: number, limit: number): string {
  return `SELECT ${index} AS index, (SELECT count(*) FROM (SELECT FROM ${queueOf(relation)} LIMIT ${limit}) AS q) AS queued,
    (SELECT count(*) FROM ${TRUNCATED} WHERE schema_name = ${literal(relation.schema)} AND relation_name = ${literal(relation.name)}) AS marks`;
}

/** All changes of a backlog. */
export const total = (backlog: readonly Backlog[]): number => backlog.reduce((sum, { changes }) => sum + changes, 0);
