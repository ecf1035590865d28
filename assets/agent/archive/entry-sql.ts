import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AgentConfig } from '../config';
import { runTool } from './client-tools';
import type { TocEntry } from './toc';

/** Runs work with a file that lists the entries as `pg_restore -L` wants it. */
export async function withList<T>(
  config: AgentConfig,
  entries: readonly TocEntry[],
  work: (listFile: string) => Promise<T>,
): Promise<T> {
  const directory = mkdtempSync(join(config.host.runDirectory, 'list-'));
  try {
    const file = join(directory, 'list');
    writeFileSync(file, entries.map((entry) => `${entry.line}\n`).join(''));
    return await work(file);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The SQL by which pg_restore would make these entries, without its session settings and its psql commands. */
export async function entrySql(config: AgentConfig, archive: string, entries: readonly TocEntry[]): Promise<string> {
  if (entries.length === 0) return '';
  const args = ['-f', '-', '--no-tablespaces', '--no-security-labels'];
  return withList(config, entries, async (list) =>
    statementsOf(await runTool(config, 'pg_restore', [...args, '-L', list, archive])),
  );
}

/**
 * The same, entry by entry, in one run of pg_restore instead of one for each. Where the script cannot be told apart,
 * because a definition holds what looks like a heading, the list is halved until that entry is alone.
 */
export async function entryScripts(
  config: AgentConfig,
  archive: string,
  entries: readonly TocEntry[],
): Promise<ReadonlyMap<string, string>> {
  const script = await entrySql(config, archive, entries);
  const [first] = entries;
  if (first !== undefined && entries.length === 1) return new Map([[first.key, script]]);
  const parts = partsOf(script, entries);
  if (parts) return parts;
  const half = Math.ceil(entries.length / 2);
  const [some, others] = [entries.slice(0, half), entries.slice(half)];
  return new Map([...(await entryScripts(config, archive, some)), ...(await entryScripts(config, archive, others))]);
}

const HEADING = /^--\n-- Name: (.*); Type: (.*); Schema: (.*); Owner: (.*)\n--\n/;

/** The part of a script that makes each entry, by its key; undefined unless every heading is that of one entry. */
export function partsOf(script: string, entries: readonly TocEntry[]): Map<string, string> | undefined {
  const byText = new Map<string, string[]>();
  for (const part of splitEntries(script)) {
    const [, name, type, schema, owner = ''] = HEADING.exec(part) ?? [];
    const text = `${type} ${schema} ${name} ${owner === '-' ? '' : owner}`;
    byText.set(text, [...(byText.get(text) ?? []), part]);
  }
  const found = new Map<string, string>();
  for (const { key, text } of entries) {
    const part = byText.get(text)?.shift();
    if (part === undefined) return undefined;
    found.set(key, part);
  }
  return [...byText.values()].some((left) => left.length > 0) ? undefined : found;
}

/** Cuts pg_restore's script at the comments that it writes above each entry. */
export const splitEntries = (script: string): string[] =>
  script.split(/(?=^--\n-- Name: .*; Type: .*; Schema: .*; Owner: .*\n--\n)/m).filter((part) => part.trim() !== '');

const FIRST_ENTRY = /^--\n-- Name: /m;
const TRAILER = '\n--\n-- PostgreSQL database dump complete\n--\n';
const SWITCH_USER = /^SET SESSION AUTHORIZATION (.*);$/gm;
const SWITCH_BACK = /^RESET SESSION AUTHORIZATION;$/gm;

/**
 * What lies between pg_restore's head and foot. The head sets parameters that an older target may not know, and both
 * hold psql commands (`\restrict`), which are no SQL.
 */
export function statementsOf(script: string): string {
  const start = script.search(FIRST_ENTRY);
  if (start < 0) return '';
  const end = script.lastIndexOf(TRAILER);
  return script.slice(start, end < 0 ? undefined : end);
}

/**
 * Grants that another role than the owner gave are written with SET SESSION AUTHORIZATION, which only a superuser may;
 * SET ROLE gives the same grantor to a member of that role.
 */
export const asMember = (grants: string): string =>
  grants.replace(SWITCH_USER, 'SET ROLE $1;').replace(SWITCH_BACK, 'RESET ROLE;');
