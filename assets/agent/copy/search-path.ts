/** What a server says of a table, a function or a type that it does not find. */
const NOT_FOUND: readonly string[] = ['42P01', '42883', '42704'];

/** How it says, innermost first, in which function: by its bare name in quotes, or with schema and arguments. */
const FUNCTION = /^(?:compilation of )?(?:SQL|PL\/\w+) function (.+?)(?= line | statement | during | while | near |$)/m;

/**
 * What to do about a function of a constraint, domain, generated column or index that finds what it needs by a search path
 * that sessions of ours do not have. Undefined for other errors.
 */
export function searchPathCure(error: unknown): string | undefined {
  const { code = '', where = '' } = error as { code?: string; where?: string };
  const name = FUNCTION.exec(where)?.[1];
  if (name === undefined || !NOT_FOUND.includes(code)) return undefined;
  return `function ${name} is called for each row, and without a search_path of its own it finds things in pg_catalog only, in sessions of Ibex: on both ends ALTER FUNCTION … SET search_path to the schemas that it needs, or name them in its body`;
}
