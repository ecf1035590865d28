import type { Client } from 'pg';
import { BUCARDO_LOGIN } from '../bucardo/names';
import type { AgentConfig } from '../config';
import { hiddenSchemas } from '../catalog/schemas';
import { majorOf, readCatalog, type CatalogObject } from './catalog-objects';

/** What the comparison of both ends' catalogs found. */
export interface CatalogComparison {
  /** Objects of the source by kind. */
  readonly objects: Readonly<Record<string, number>>;
  /** What the target lacks, has otherwise, or has but cannot rely on; each a sentence. Fails verify. */
  readonly failures: readonly string[];
  /** Expressions that two majors may only word otherwise, owners that differ, and what only the target has; each a sentence. */
  readonly warnings: readonly string[];
}

/** Kinds whose definition the target may word otherwise, or have of its own. */
const INEXACT = new Set(['setting', 'view text', 'default privilege', 'privilege of public']);

/** Kinds that do harm where only the target has them: the same INSERT gives other values. */
const ON_BOTH = new Set(['default of column', 'generation of column', 'identity of column', 'collation of column']);

/**
 * Kinds that the target may lack with good reason: settings that it refuses, extensions that nothing uses, rights of PUBLIC
 * on schema public, which new servers no longer give.
 */
const DISPENSABLE = new Set(['setting', 'extension', 'default privilege', 'privilege of public']);

/** Kinds of which a server has its own, too. */
const SERVERS_OWN = new Set(['setting', 'extension', 'default privilege']);

/**
 * Compares tables with their columns and defaults, types, indexes, constraints, sequences, views, functions, triggers, rules, policies,
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
  return judge(here, there, roles, sameMajor);
}

async function readRoles(client: Client): Promise<Set<string>> {
  const { rows } = await client.query<{ name: string }>('SELECT rolname::text AS name FROM pg_roles');
  return new Set(rows.map(({ name }) => name));
}

/**
 * Compares two lists of objects.
 *
 * @param roles of the target; what is about another role can only be missing there
 * @param sameMajor whether both servers word expressions alike, so that another text is another expression
 */
export function judge(
  source: readonly CatalogObject[],
  target: readonly CatalogObject[],
  roles: ReadonlySet<string>,
  sameMajor: boolean,
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
      (INEXACT.has(object.kind) ? warnings : failures).push(text);
    } else if (object.text !== other.text) {
      const text = `${id(object)} differs: ${shortened(object.text)} on the source, ${shortened(other.text)} on the target`;
      (sameMajor && bare(object.text) !== bare(other.text) ? failures : warnings).push(text);
    }
    if (object.owner !== other.owner) {
      warnings.push(`${id(object)} is owned by ${object.owner} on the source, by ${other.owner} on the target`);
    }
  }
  for (const object of target) {
    if (here.has(id(object)) || SERVERS_OWN.has(object.kind) || object.role === BUCARDO_LOGIN) continue;
    (ON_BOTH.has(object.kind) ? failures : warnings).push(`${id(object)} is only on the target`);
  }
  return { objects, failures, warnings };
}

const stateOf = ({ state }: CatalogObject): string => (state === null || state === '' ? 'without row security' : state);

/** Longest expression that a message gives whole; characters. */
const LONGEST_TEXT = 400;

const shortened = (text: string | null): string =>
  text === null ? 'nothing' : text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)} …` : text;

/**
 * An expression without the parentheses and the casts between kinds of text, which a server words anew when it reads what it
 * wrote: `IN ('a', 'b')` of a varchar comes out of a dump and its restore with other ones.
 */
const bare = (text: string | null): string | undefined =>
  text?.replace(/::(character varying|character|bpchar|text)(\(\d+\))?(\[\])?/g, '').replace(/[()\s]/g, '');
