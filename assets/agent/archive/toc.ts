import type { AgentConfig } from '../config';
import { runTool } from './client-tools';

/** Oids of the system catalogs by which entries are told apart; they are the same on every server. */
export const CATALOG = {
  attributeDefault: 2604,
  class: 1259,
  constraint: 2606,
  defaultAcl: 826,
  eventTrigger: 3466,
  namespace: 2615,
  publication: 6104,
  publicationNamespace: 6237,
  publicationRelation: 6106,
  statistics: 3381,
  subscription: 6100,
  trigger: 2620,
} as const;

/** One entry of an archive's table of contents. */
export interface TocEntry {
  readonly dumpId: number;
  /** Catalog that the object was found in on the source, and its oid there; 0 for entries that are no object. */
  readonly classOid: number;
  readonly oid: number;
  /** Kind, schema, name and owner as pg_restore lists them: for people, and never taken apart for names. */
  readonly text: string;
  /** The entry's name for good: the same in every dump of this source, unlike the dump id. Unique in its archive. */
  readonly key: string;
  /** The line as `pg_restore -L` takes it. */
  readonly line: string;
}

/** Tells an object from others for as long as it lives, also renamed; what is no object has nothing but its text. */
export const identityOf = ({ classOid, oid, text }: TocEntry): string => (oid === 0 ? text : `${classOid} ${oid}`);

/** The part of an archive, as `pg_restore --section` cuts it. */
export type Section = 'pre-data' | 'data' | 'post-data';

const LINE = /^(\d+); (\d+) (\d+) (.*)$/;

/** Reads what `pg_restore -l` wrote. */
export function parseToc(listing: string): TocEntry[] {
  const seen = new Map<string, number>();
  return listing.split('\n').flatMap((line) => {
    const match = LINE.exec(line);
    if (!match) return [];
    const [, dumpId, classOid, oid, text = ''] = match;
    const name = `${classOid} ${oid} ${text}`;
    const earlier = seen.get(name) ?? 0;
    seen.set(name, earlier + 1);
    const key = earlier === 0 ? name : `${name} #${earlier + 1}`;
    return [{ dumpId: Number(dumpId), classOid: Number(classOid), oid: Number(oid), text, key, line }];
  });
}

/** The entries of an archive, in the order in which they can be restored. */
export async function readToc(config: AgentConfig, archive: string, section?: Section): Promise<TocEntry[]> {
  const parts = section === undefined ? [] : [`--section=${section}`];
  return parseToc(await runTool(config, 'pg_restore', ['-l', ...parts, archive]));
}
