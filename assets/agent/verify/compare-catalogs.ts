import type { Client } from 'pg';
import { BUCARDO_LOGIN } from '../bucardo/names';
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
const EXACT = new Set(['table', 'type', 'privilege']);

/**
 * Kinds that the target may lack with good reason: settings that it refuses, extensions that nothing uses, rights of PUBLIC
 * on schema public, which new servers no longer give.
 */
const DISPENSABLE = new Set(['setting', 'extension', 'default privilege', 'privilege of public']);

/** Kinds of which a server has its own, too. */
const SERVERS_OWN = new Set(['setting', 'extension', 'default privilege']);

/**
 * Compares tables with their columns, types, indexes, constraints, sequences, views, functions, triggers, rules, policies,
 * extensions, owners, privileges, and settings of the database and of roles.
 */
export async function compareCatalogs(source: Client, target: Client, config: AgentConfig): Promise<CatalogComparison> {
  const sameMajor = (await majorOf(source)) === (await majorOf(target));
  const hidden = hiddenSchemas(config);
  const [here, there, roles] = await Promise.all([
    readCatalog(source, hidden, sameMajor),
    readCatalog(target, hidden, sameMajor),
    readRoles(target),
  ]);
  return judge(here, there, roles);
}

async function readRoles(client: Client): Promise<Set<string>> {
  const { rows } = await client.query<{ name: string }>('SELECT rolname::text AS name FROM pg_roles');
  return new Set(rows.map(({ name }) => name));
}

/**
 * Compares two lists of objects.
 *
 * @param roles of the target; what is about another role can only be missing there
 */
export function judge(
  source: readonly CatalogObject[],
  target: readonly CatalogObject[],
  roles: ReadonlySet<string>,
): CatalogComparison {
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
      const noRole = object.role !== null && !roles.has(object.role);
      const text = `${id(object)} is missing on the target${noRole ? ', and so is the role' : ''}`;
      (noRole || DISPENSABLE.has(object.kind) ? warnings : failures).push(text);
      continue;
    }
    if (object.valid && !other.valid) failures.push(`${id(object)} is not valid on the target`);
    if (object.state !== other.state) {
      failures.push(`${id(object)} is ${stateOf(object)} on the source, ${stateOf(other)} on the target`);
    }
    if (object.definition !== other.definition) {
      const text = `${id(object)} differs: ${object.definition} on the source, ${other.definition} on the target`;
      (EXACT.has(object.kind) ? failures : warnings).push(text);
    }
    if (object.owner !== other.owner) {
      warnings.push(`${id(object)} is owned by ${object.owner} on the source, by ${other.owner} on the target`);
    }
  }
  for (const object of target) {
    if (here.has(id(object)) || SERVERS_OWN.has(object.kind) || object.role === BUCARDO_LOGIN) continue;
    warnings.push(`${id(object)} is only on the target`);
  }
  return { objects, failures, warnings };
}

const stateOf = ({ state }: CatalogObject): string => (state === null || state === '' ? 'without row security' : state);
