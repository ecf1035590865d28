import type { Client } from 'pg';
import { BUCARDO_LOGIN } from '../bucardo/names';
import type { AgentConfig } from '../config';
import { hiddenSchemas } from '../catalog/schemas';
import { majorOf, readCatalog, type CatalogObject } from './catalog-objects';
import { compareWordings, type Pair, type Wording } from './wordings';

/** What the comparison of both ends' catalogs found. */
export interface CatalogComparison {
  /** Objects of the source by kind. */
  readonly objects: Readonly<Record<string, number>>;
  /** What the target lacks, has otherwise, or has but cannot rely on; each a sentence. Fails verify. */
  readonly failures: readonly string[];
  /** Texts that the target could not read, owners that differ, and what only the target has; each a sentence. */
  readonly warnings: readonly string[];
}

/** Kinds whose definition the target may word otherwise, or have of its own. */
const INEXACT = new Set(['setting', 'default privilege', 'privilege of public', 'storage parameters of index']);

/** Kinds that do harm where only the target has them: the same INSERT gives other values. */
const ON_BOTH = new Set(['default of column', 'generation of column', 'identity of column', 'collation of column']);

/**
 * Kinds that the target may lack with good reason: settings that it refuses, extensions that nothing uses, rights of PUBLIC
 * on schema public, which new servers no longer give.
 */
const DISPENSABLE = new Set([
  'setting',
  'extension',
  'default privilege',
  'privilege of public',
  'storage parameters of index',
]);

/** Kinds that come and go with another object, which is told of instead. */
const PARTS = new Set(['range of sequence', 'body of function']);

/** Kinds whose text is the object itself, which differs unless it was seen to be the same. */
const QUERIES = new Set(['view', 'materialized view']);

/** Kinds of which a server has its own, too. */
const SERVERS_OWN = new Set(['setting', 'extension', 'default privilege']);

/**
 * Compares tables with their columns, defaults, parents and partitioning, types, indexes, constraints, extended statistics,
 * sequences, views, functions, triggers, rules, policies, extensions, owners, privileges, and settings of the database and of
 * roles. Texts that differ are read again by the target, in a transaction that is rolled back.
 *
 * @param target a session in no transaction
 */
export async function compareCatalogs(source: Client, target: Client, config: AgentConfig): Promise<CatalogComparison> {
  const sameMajor = (await majorOf(source)) === (await majorOf(target));
  const hidden = hiddenSchemas(config);
  const roles = await readRoles(target);
  const reading = [readCatalog(source, hidden, 'source'), readCatalog(target, hidden, 'target')] as const;
  // When one fails, the session of the other must not be left in a transaction.
  await Promise.allSettled(reading);
  const [here, there] = await Promise.all(reading);
  const pairs = otherTexts(here, there);
  const found = await compareWordings(target, pairs);
  const wordings = new Map(pairs.map(([object], i) => [idOf(object), found[i] as Wording]));
  return judge(here, there, roles, sameMajor, wordings);
}

/** What an object is called in whatever is said of it. */
export const idOf = ({ kind, name }: CatalogObject): string => `${kind} ${name}`;

/** Objects that differ by nothing but their texts. */
function otherTexts(source: readonly CatalogObject[], target: readonly CatalogObject[]): Pair[] {
  const there = new Map(target.map((object) => [idOf(object), object]));
  return source.flatMap((object): Pair[] => {
    const other = there.get(idOf(object));
    return other?.definition === object.definition && other.text !== object.text ? [[object, other]] : [];
  });
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
 * @param wordings what the target made of texts that differ, by kind and name
 */
export function judge(
  source: readonly CatalogObject[],
  target: readonly CatalogObject[],
  roles: ReadonlySet<string>,
  sameMajor: boolean,
  wordings: ReadonlyMap<string, Wording> = new Map(),
): CatalogComparison {
  const there = new Map(target.map((object) => [idOf(object), object]));
  const here = new Set(source.map(idOf));
  const failures: string[] = [];
  const warnings: string[] = [];
  const objects: Record<string, number> = {};
  for (const object of source) {
    objects[object.kind] = (objects[object.kind] ?? 0) + 1;
    const other = there.get(idOf(object));
    if (!other) {
      if (PARTS.has(object.kind)) continue;
      // No dump has it: CREATE or REINDEX INDEX CONCURRENTLY is at it, or has failed.
      if (object.kind === 'index' && !object.valid) {
        warnings.push(
          `${idOf(object)} is not valid on the source and missing on the target; unless it is just being made, DROP it on the source`,
        );
        continue;
      }
      const noRole = object.role !== null && !roles.has(object.role);
      const text = `${idOf(object)} is missing on the target${noRole ? ', and so is the role' : ''}`;
      (noRole || DISPENSABLE.has(object.kind) ? warnings : failures).push(text);
      continue;
    }
    if (object.valid && !other.valid) {
      failures.push(
        `${idOf(object)} is not ${object.kind === 'materialized view' ? 'populated' : 'valid'} on the target`,
      );
    }
    if (object.state !== other.state) {
      failures.push(`${idOf(object)} is ${stateOf(object)} on the source, ${stateOf(other)} on the target`);
    }
    if (object.definition !== other.definition) {
      const text = `${idOf(object)} differs: ${object.definition} on the source, ${other.definition} on the target`;
      (INEXACT.has(object.kind) || isWider(other, object) ? warnings : failures).push(text);
    } else if (object.text !== other.text) {
      const wording = wordings.get(idOf(object));
      if (wording !== 'same') {
        const fails =
          wording === 'other' || QUERIES.has(object.kind) || (sameMajor && bare(object.text) !== bare(other.text));
        (fails ? failures : warnings).push(`${idOf(object)} differs: ${texts(object, other)}${causeOf(wording)}`);
      }
    }
    if (object.owner !== other.owner) {
      warnings.push(`${idOf(object)} is owned by ${object.owner} on the source, by ${other.owner} on the target`);
    }
  }
  for (const object of target) {
    if (
      here.has(idOf(object)) ||
      SERVERS_OWN.has(object.kind) ||
      PARTS.has(object.kind) ||
      object.role === BUCARDO_LOGIN
    )
      continue;
    (ON_BOTH.has(object.kind) ? failures : warnings).push(`${idOf(object)} is only on the target`);
  }
  return { objects, failures, warnings };
}

const stateOf = ({ state }: CatalogObject): string => (state === null || state === '' ? 'without row security' : state);

/** Whether a sequence may give out all that the other may, and more. */
function isWider(wide: CatalogObject, narrow: CatalogObject): boolean {
  if (wide.kind !== 'range of sequence') return false;
  const [[min, max], [from, to]] = [wide, narrow].map(({ definition }) => definition.split(' to ').map(BigInt)) as [
    [bigint, bigint],
    [bigint, bigint],
  ];
  return min <= from && max >= to;
}

/** Longest text that a message gives whole; characters. */
const LONGEST_TEXT = 400;

/** The texts of both ends in words, long ones from a little before they part. */
function texts(source: CatalogObject, target: CatalogObject): string {
  const [a, b] = [source.text ?? 'nothing', target.text ?? 'nothing'];
  let parting = 0;
  while (parting < a.length && a[parting] === b[parting]) parting++;
  const start = Math.max(a.length, b.length) > LONGEST_TEXT ? Math.max(0, parting - LONGEST_TEXT / 4) : 0;
  const part = (text: string): string => {
    const given = text.slice(start, start + LONGEST_TEXT);
    return `${start > 0 ? '… ' : ''}${given}${start + given.length < text.length ? ' …' : ''}`;
  };
  return `${part(a)} on the source, ${part(b)} on the target`;
}

const causeOf = (wording: Wording | undefined): string =>
  typeof wording === 'object' ? `; the target cannot read both again: ${wording.cause}` : '';

/**
 * An expression without the parentheses and the casts between kinds of text, which a server words anew when it reads what it
 * wrote: `IN ('a', 'b')` of a varchar comes out of a dump and its restore with other ones.
 */
const bare = (text: string | null): string | undefined =>
  text?.replace(/::(character varying|character|bpchar|text)(\(\d+\))?(\[\])?/g, '').replace(/[()\s]/g, '');
