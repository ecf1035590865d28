import { createHash } from 'node:crypto';
import type { Relation } from '../catalog/relations';
import { qualified } from '../sql';

/** Characters that Bucardo leaves of a name before it shortens it (function bucardo_tablename_maker of Bucardo 5.6). */
const KEPT = 57;

/** Schema, on the source, of everything that capture makes; Bucardo fixes its name. */
export const CAPTURE_SCHEMA = 'bucardo';

/** Trigger that records the key of each changed row; Bucardo fixes its name. */
export const DELTA_TRIGGER = 'bucardo_delta';

function maker(schema: string, name: string): string {
  const joined = `${schema}_${name}`.replaceAll('.', '_');
  if (joined.length <= KEPT) return joined;
  return `${joined.slice(0, 46)}!${createHash('md5').update(joined).digest('hex').slice(0, 10)}`;
}

/** Name, in schema bucardo, of the table of changed keys of a relation, and of its trigger function. */
export const deltaName = (schema: string, name: string): string => `delta_${maker(schema, name)}`;

/** Name, in schema bucardo, of the trigger function that notes that a relation was truncated; no longer than the one before. */
export const truncateName = (schema: string, name: string): string => `trunc_${maker(schema, name)}`;

/** Name, in schema bucardo, of the table in which Bucardo notes what it has applied. */
export const trackName = (schema: string, name: string): string => `track_${maker(schema, name)}`;

/** Name, in schema bucardo, of the table that Bucardo's multi-source mode would use. */
export const stageName = (schema: string, name: string): string => `stage_${maker(schema, name)}`;

/** A relation's table of changed keys, quoted. */
export const queueOf = ({ schema, name }: Relation): string => qualified(CAPTURE_SCHEMA, deltaName(schema, name));

/** A relation's table of what Bucardo has applied, quoted. */
export const trackOf = ({ schema, name }: Relation): string => qualified(CAPTURE_SCHEMA, trackName(schema, name));

/** Longest identifier that a server keeps whole (NAMEDATALEN - 1 of the PostgreSQL manual); bytes. */
const IDENTIFIER_BYTES = 63;

/** Whether the server keeps a name whole. Bucardo counts characters, and would look for a name that was cut off. */
export const fitsIdentifier = (name: string): boolean => Buffer.byteLength(name) <= IDENTIFIER_BYTES;

/** Columns that a queue has beside the key's. */
export const QUEUE_COLUMNS: readonly string[] = ['txntime', 'captured_at'];
