import { createInterface } from 'node:readline';
import { Transform, type Readable, type TransformCallback } from 'node:stream';
import { UsageError } from '../../../assets/agent/errors';

const NAME = `(?:"(?:[^"]|"")+"|[a-zA-Z_\\u0080-\\uffff][\\w$\\u0080-\\uffff]*)`;
const NAMES = `(${NAME}(?:, ${NAME})*)`;
/** Statements with roles, as pg_dump writes them: one on a line. */
const PATTERNS = [
  `\\bOWNER TO ${NAMES};$`,
  `^GRANT .* TO (?:GROUP )?${NAMES}(?: WITH (?:GRANT|ADMIN) OPTION)?(?: GRANTED BY ${NAMES})?;$`,
  `^REVOKE .* FROM (?:GROUP )?${NAMES}(?: GRANTED BY ${NAMES})?(?: CASCADE)?;$`,
  `^ALTER DEFAULT PRIVILEGES FOR (?:ROLE|USER) ${NAMES} .* (?:TO|FROM) ${NAMES}(?: WITH GRANT OPTION)?;$`,
  `^SET SESSION AUTHORIZATION ${NAMES};$`,
  `^CREATE SCHEMA .*AUTHORIZATION ${NAMES};$`,
  `^CREATE POLICY .* TO ${NAMES}(?: USING| WITH CHECK|;)`,
].map((pattern) => new RegExp(pattern));
const COPY = /^COPY .* FROM stdin;$/i;
/** Words of the grammar where a role's name would be. */
const NO_ROLE = new Set(['public', 'current_user', 'session_user', 'current_role', 'default']);
/** Settings that pg_dump writes into every dump, by the major version that made them known. */
const NEW_SETTINGS: readonly (readonly [name: string, since: number])[] = [
  ['default_table_access_method', 12],
  ['transaction_timeout', 17],
];

const unquoted = (name: string): string =>
  name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name.toLowerCase();

/** What a dump needs to find before it is loaded. */
export interface DumpNeeds {
  /** Owners, grantees, and roles that it acts for. */
  readonly roles: Set<string>;
  /** It makes the schema public itself, which a new database has already. */
  makesPublic: boolean;
}

/**
 * Reads the SQL of a dump once. Throws UsageError where it is made for a server instead of one database.
 * @param file names the dump in messages
 */
export async function scanDump(sql: Readable, file: string): Promise<DumpNeeds> {
  const needs: DumpNeeds = { roles: new Set(), makesPublic: false };
  let inCopy = false;
  let number = 0;
  for await (const line of createInterface({ input: sql, crlfDelay: Infinity })) {
    number++;
    if (inCopy) inCopy = line !== '\\.';
    else if (COPY.test(line)) inCopy = true;
    else {
      if (/^\\c(onnect)?\b/.test(line)) {
        throw new UsageError(
          `dump ${file}, line ${number}, connects to another database (${line}); give the dump of one database, made by pg_dump without --create`,
        );
      }
      needs.makesPublic ||= line === 'CREATE SCHEMA public;';
      for (const role of rolesOf(line)) needs.roles.add(role);
    }
  }
  return needs;
}

function rolesOf(line: string): string[] {
  const lists = PATTERNS.flatMap((pattern) => pattern.exec(line)?.slice(1) ?? []).filter((list) => list !== undefined);
  const names = lists.flatMap((list) => list.match(new RegExp(NAME, 'g')) ?? []);
  return names.map(unquoted).filter((name) => !NO_ROLE.has(name));
}

/**
 * Empties the lines that set what a server of this major version does not know, and keeps everything else byte by byte,
 * so that line numbers stay: pg_dump 17 sets transaction_timeout whatever server it reads.
 */
export function withoutNewSettings(version: number): Transform {
  const unknown = NEW_SETTINGS.filter(([, since]) => since > version).map(([name]) => name);
  const unwanted = new RegExp(`^SET (?:${unknown.join('|')}) = [^ ]+;\r?$`);
  let rest = '';
  // They come before the first rows, which are never looked at.
  let passing = unknown.length === 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, callback: TransformCallback) {
      if (passing) return callback(null, chunk);
      // latin1 keeps every byte as it is, whatever the dump's encoding.
      const lines = (rest + chunk.toString('latin1')).split('\n');
      const copy = lines.findIndex((line) => COPY.test(line));
      const settings = copy === -1 ? lines.slice(0, -1) : lines.slice(0, copy);
      const rows = copy === -1 ? lines.slice(-1) : lines.slice(copy);
      const kept = settings.map((line) => `${unwanted.test(line) ? '' : line}\n`).join('');
      passing = copy !== -1;
      rest = passing ? '' : rows.join('\n');
      callback(null, Buffer.from(passing ? kept + rows.join('\n') : kept, 'latin1'));
    },
    flush(callback: TransformCallback) {
      callback(null, Buffer.from(rest, 'latin1'));
    },
  });
}
