import type { Client } from 'pg';
import type { AgentConfig } from '../config';
import { hiddenSchemas } from '../catalog/schemas';
import { majorOf, readCatalog, type CatalogObject } from './catalog-objects';

/** What the comparison of both ends' catalogs found. */
export interface CatalogComparison {
  /** Objects of the source by kind. */
  readonly objects: Readonly<Record<string, number>>;
  /** What the target lacks, or has but cannot rely on; each a sentence. Fails verify. */
  readonly failures: readonly string[];
  /** Definitions or owners that differ, and what only the target has; each a sentence. */
  readonly warnings: readonly string[];
}

/** Kinds whose definition is the same only if it works the same; other texts may differ between majors in wording. */
const EXACT = new Set(['table', 'type']);

/** Compares tables with their columns, types, indexes, constraints, sequences, views, functions, triggers and owners. */
export async function compareCatalogs(source: Client, target: Client, config: AgentConfig): Promise<CatalogComparison> {
  const sameMajor = (await majorOf(source)) === (await majorOf(target));
  const hidden = hiddenSchemas(config);
  const [here, there] = await Promise.all([
    readCatalog(source, hidden, sameMajor),
    readCatalog(target, hidden, sameMajor),
  ]);
  return judge(here, there);
}

/** Compares two lists of objects. */
export function judge(source: readonly CatalogObject[], target: readonly CatalogObject[]): CatalogComparison {
  const id = ({ kind, name }: CatalogObject): string => `${kind} ${name}`;
  const there = new Map(target.map((object) => [id(object), object]));
  const here = new Set(source.map(id));
  const failures: string[] = [];
  const warnings: string[] = [];
  const objects: Record<string, number> = {};
  for (const object of source) {
    objects[object.kind] = (objects[object.kind] ?? 0) + 1;
    const other = there.get(id(object));
    if (!other) {
      failures.push(`${id(object)} is missing on the target`);
      continue;
    }
    if (object.valid && !other.valid) failures.push(`${id(object)} is not valid on the target`);
    if (object.definition !== other.definition) {
      const text = `${id(object)} differs: ${object.definition} on the source, ${other.definition} on the target`;
      (EXACT.has(object.kind) ? failures : warnings).push(text);
    }
    if (object.owner !== other.owner) {
      warnings.push(`${id(object)} is owned by ${object.owner} on the source, by ${other.owner} on the target`);
    }
  }
  for (const object of target) if (!here.has(id(object))) warnings.push(`${id(object)} is only on the target`);
  return { objects, failures, warnings };
}
