/** An error of the server's log: what kind it is, and nothing of what it says. */
export interface LoggedError {
  readonly level: 'ERROR' | 'FATAL' | 'PANIC';
  /** SQLSTATE; `other` where the log names none and the words are not known. */
  readonly state: string;
}

/** The first label of a line is the line's own; whatever comes after it may be somebody's data. */
const LABELLED =
  /^(.*?)\b(DEBUG[1-5]?|LOG|INFO|NOTICE|WARNING|ERROR|FATAL|PANIC|DETAIL|HINT|STATEMENT|CONTEXT|QUERY|LOCATION): {2}(.*)$/;

/** `%e` in the longer prefix that RDS offers, after process and line number. */
const STATE_IN_PREFIX = /\]:\d+:([0-9A-Z]{5}):/;

/** The SQLSTATE that log_error_verbosity "verbose" puts before the message. */
const STATE_IN_MESSAGE = /^([0-9A-Z]{5}): /;

/** Messages of PostgreSQL, in English as RDS keeps its log, by the SQLSTATE that they have. */
const MESSAGES: readonly (readonly [RegExp, string])[] = [
  [/violates unique constraint/, '23505'],
  [/violates foreign key constraint/, '23503'],
  [/violates not-null constraint/, '23502'],
  [/violates check constraint/, '23514'],
  [/violates exclusion constraint/, '23P01'],
  [/^(relation|table|view|sequence) ".*" does not exist/, '42P01'],
  [/^column .* does not exist/, '42703'],
  [/^(function|procedure|operator|aggregate) .* does not exist/, '42883'],
  [/^type ".*" does not exist/, '42704'],
  [/^schema ".*" does not exist/, '3F000'],
  [/^database ".*" does not exist/, '3D000'],
  [/^prepared statement ".*" does not exist/, '26000'],
  [/^permission denied|^must be owner of/, '42501'],
  [/^password authentication failed/, '28P01'],
  [/^role ".*" does not exist|^no pg_hba\.conf entry|is not permitted to log in/, '28000'],
  [/^sorry, too many clients|^remaining connection slots|^too many connections for/, '53300'],
  [/^out of memory/, '53200'],
  [/No space left on device/, '53100'],
  [/^deadlock detected/, '40P01'],
  [/^could not serialize access/, '40001'],
  [/^canceling statement due to lock timeout/, '55P03'],
  [/^canceling statement due to/, '57014'],
  [/^terminating connection due to/, '57P01'],
  [/^the database system is/, '57P03'],
  [/in a read-only transaction/, '25006'],
  [/^current transaction is aborted/, '25P02'],
  [/^syntax error at/, '42601'],
  [/^invalid input syntax/, '22P02'],
];

/**
 * Reads one line of a PostgreSQL log with any log_line_prefix; undefined when it reports no error. Text of statements and
 * values of rows, which a log is full of, are left where they are.
 *
 * @param ourLogin whose errors do not count: those of this program
 */
export function errorOf(line: string, ourLogin?: string): LoggedError | undefined {
  const [, prefix = '', label, message = ''] = LABELLED.exec(line) ?? [];
  if (label !== 'ERROR' && label !== 'FATAL' && label !== 'PANIC') return undefined;
  if (ourLogin !== undefined && prefix.includes(`${ourLogin}@`)) return undefined;
  const told = STATE_IN_PREFIX.exec(prefix)?.[1] ?? STATE_IN_MESSAGE.exec(message)?.[1];
  const known = MESSAGES.find(([pattern]) => pattern.test(message))?.[1];
  return { level: label, state: told ?? known ?? 'other' };
}

/**
 * Whether it is an error that a move to another server makes: a thing or a right that is missing there, a login that is
 * refused, a server that is full or refuses writes, or one that is broken.
 */
export const isOfAMove = (state: string): boolean => /^(42|28|3D|3F|26|53|57P03|58|XX|25006)/.test(state);
