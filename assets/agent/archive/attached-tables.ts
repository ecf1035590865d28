import type { TocEntry } from './toc';

const ATTACHES = /^TABLE ATTACH /;

/** Tells the table that an entry attaches, of all entries of the pre-data section; undefined for other entries. */
export function attachedTables(preData: readonly TocEntry[]): (entry: TocEntry) => TocEntry | undefined {
  const tables = new Map(preData.map((entry) => [entry.text, entry]));
  return ({ oid, text }) =>
    oid === 0 && ATTACHES.test(text) ? tables.get(text.replace(ATTACHES, 'TABLE ')) : undefined;
}
