import type { Client } from 'pg';
import { sql } from '../sql';
import type { CatalogObject } from './catalog-objects';

/** Whether the target takes two texts for the same; with a cause where it could not read one of them. */
export type Wording = 'same' | 'other' | { readonly cause: string };

/** An object as both ends have it, with another text on each. */
export type Pair = readonly [source: CatalogObject, target: CatalogObject];

/** How long a text may wait for whoever holds a lock on what it reads; milliseconds. */
const LOCK_TIMEOUT_MS = 5_000;

/** Texts that one statement reads: each is a subtransaction. */
const BATCH = 500;

/** Makes an object, asks how the server words it, and takes it back with its locks. */
const READ_AGAIN = sql`
  CREATE FUNCTION pg_temp.ibex_read_again(make text, ask text, OUT worded text, OUT cause text) LANGUAGE plpgsql AS $body$
  BEGIN
    EXECUTE make;
    EXECUTE ask INTO worded;
    RAISE EXCEPTION USING ERRCODE = 'IBX00';
  EXCEPTION
    WHEN SQLSTATE 'IBX00' THEN NULL;
    WHEN OTHERS THEN worded := NULL; cause := SQLERRM;
  END $body$`;

/**
 * Has the target read both texts of each pair and word them anew, so that one server has worded both: texts of two majors
 * differ where nothing else does. All of it is in a transaction that is rolled back. Of the same order as the pairs.
 *
 * @param target a session in no transaction, whose login may make temporary objects: else each pair has that as its cause
 */
export async function compareWordings(target: Client, pairs: readonly Pair[]): Promise<Wording[]> {
  if (pairs.length === 0) return [];
  await target.query('BEGIN READ WRITE');
  try {
    await target.query(`SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}; ${READ_AGAIN}`);
    const found: Wording[] = [];
    for (let from = 0; from < pairs.length; from += BATCH / 2) {
      found.push(...(await compareBatch(target, pairs.slice(from, from + BATCH / 2))));
    }
    return found;
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    // A server's answer is told of each pair; a session that is gone can tell nothing.
    if (code === undefined || !/^(42|25|0A)/.test(code)) throw error;
    return pairs.map(() => ({ cause: message }));
  } finally {
    await target.query('ROLLBACK').catch(() => undefined);
  }
}

interface Again {
  readonly worded: string | null;
  readonly cause: string | null;
}

async function compareBatch(target: Client, pairs: readonly Pair[]): Promise<Wording[]> {
  const trials = pairs.flat().map(trialOf);
  const once = await readOnce(target, pairs.flat(), trials);
  const found = pairs.map((_, i): Wording => {
    const [here, there] = once.slice(2 * i) as [Again, Again];
    const cause = here.cause ?? there.cause;
    if (cause !== null) return { cause };
    return here.worded === there.worded ? 'same' : 'other';
  });
  // A server may word its own wording anew; then the target's text, which it made of the source's, is a step ahead.
  const open = found.flatMap((wording, i) => (wording === 'other' && trials[2 * i]?.ask === VIEW ? [i] : []));
  const numbers = open.flatMap((i) => [2 * i, 2 * i + 1]);
  const twice = await readAgain(
    target,
    numbers.map((n) => ({ make: `${MAKE_VIEW} ${once[n]?.worded}`, ask: VIEW })),
  );
  open.forEach((i, at) => {
    const [here, there] = twice.slice(2 * at) as [Again, Again];
    const cause = here.cause ?? there.cause;
    const theirs = [once[2 * i + 1]?.worded, there.worded];
    if (cause !== null) found[i] = { cause };
    else if ([once[2 * i]?.worded, here.worded].some((worded) => theirs.includes(worded))) found[i] = 'same';
  });
  return found;
}

/** How the target words each: of its own views it has said that already. */
async function readOnce(
  target: Client,
  objects: readonly CatalogObject[],
  trials: readonly Trial[],
): Promise<readonly Again[]> {
  const asked = objects.flatMap(({ kind }, n) => (n % 2 === 1 && kind.endsWith('view') ? [] : [n]));
  const answers = await readAgain(
    target,
    asked.map((n) => trials[n] as Trial),
  );
  const byNumber = new Map(asked.map((n, at) => [n, answers[at] as Again]));
  return objects.map(({ text }, n) => byNumber.get(n) ?? { worded: text, cause: null });
}

async function readAgain(target: Client, trials: readonly Trial[]): Promise<Again[]> {
  if (trials.length === 0) return [];
  const { rows } = await target.query<Again>(
    sql`
      SELECT r.worded, r.cause FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS t (make, ask, n)
      CROSS JOIN LATERAL pg_temp.ibex_read_again(t.make, t.ask) AS r ORDER BY t.n`,
    [trials.map(({ make }) => make), trials.map(({ ask }) => ask)],
  );
  return rows;
}

/** What makes an object of such a text, and what asks for its wording. */
interface Trial {
  readonly make: string;
  readonly ask: string;
}

const MAKE_VIEW = 'CREATE TEMP VIEW ibex_worded AS';
const VIEW = `SELECT pg_get_viewdef('pg_temp.ibex_worded'::regclass)`;
const RULE = `SELECT pg_get_ruledef(oid) FROM pg_rewrite WHERE ev_class = 'pg_temp.ibex_worded'::regclass AND rulename = 'ibex_worded'`;
const BODY = `SELECT pg_get_function_sqlbody(oid) FROM pg_proc WHERE pronamespace = pg_my_temp_schema() AND prosqlbody IS NOT NULL`;

/** Lists of expressions become one row in a view, which runs none of them; no view has a column of type record. */
function trialOf({ kind, text, reads }: CatalogObject): Trial {
  const made = text ?? '';
  switch (kind) {
    case 'view':
    case 'materialized view':
      return { make: `${MAKE_VIEW} ${made}`, ask: VIEW };
    case 'rule': {
      const [head = '', ...rest] = made.split(` TO ${reads}`);
      const event = head.slice(head.lastIndexOf(' ') + 1);
      const make = `CREATE TEMP TABLE ibex_worded (LIKE ${reads});
        CREATE RULE ibex_worded AS ON ${event} TO pg_temp.ibex_worded${rest.join(` TO ${reads}`)}`;
      return { make, ask: RULE };
    }
    case 'body of function':
      return { make: `CREATE ${reads} ${made}`, ask: BODY };
    default:
      return {
        make: `${MAKE_VIEW} SELECT ROW(${made}) IS NULL AS it${reads === null ? '' : ` FROM ${reads}`}`,
        ask: VIEW,
      };
  }
}
