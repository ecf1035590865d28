import type { Client } from 'pg';
import { serverVersion } from '../catalog/relations';
import { oneStatement } from '../ready/one-statement';
import { ident, literal } from '../sql';
import { readPlan, type Plan } from './plan';

/** Longest wait for a lock: a statement of ours that waits would make others wait behind it. Milliseconds. */
const LOCK_TIMEOUT_MS = 200;

/** Name of the prepared statement. */
const PREPARED = 'ibex_plan';

/** From this time on a statement is measured once only; milliseconds. */
const LONG_MS = 200;

/** `FORCE_GENERIC_PLAN` is there from this version on. */
const PLAN_CACHE_MODE = 120_000;

/** Values of a statement's parameters; undefined to plan without. */
export type Values = readonly (string | null)[] | undefined;

/** Who plans: the role of the statement, and where it finds its names. */
export interface PlannedAs {
  /** @default our login */
  readonly role: string | undefined;
  readonly searchPath: string;
}

/**
 * Plans one statement on one end, in a transaction that is rolled back. Planning and running call functions and operators
 * of the application, and we may be more than it: so both happen inside a SECURITY DEFINER function that belongs to the
 * statement's role, out of which nobody gets back to our login.
 */
export class Planner {
  private types: string[] = [];
  private searchPath = '';

  private constructor(
    private readonly client: Client,
    private readonly version: number,
    /** The statement. */
    readonly text: string,
  ) {}

  /** Opens the transaction. Throws the server's error when our login may not become the role. */
  static async open(client: Client, text: string, as: PlannedAs, timeoutMs: number): Promise<Planner> {
    const planner = new Planner(client, await serverVersion(client), text);
    await client.query('BEGIN READ WRITE');
    try {
      await planner.prepareSession(as, timeoutMs);
      return planner;
    } catch (error) {
      await planner.close();
      throw error;
    }
  }

  private async prepareSession({ role, searchPath }: PlannedAs, timeoutMs: number): Promise<void> {
    await this.set('statement_timeout', String(timeoutMs));
    await this.set('lock_timeout', String(LOCK_TIMEOUT_MS));
    await this.set('row_security', 'on');
    if (role !== undefined) await this.client.query(`SET LOCAL ROLE ${ident(role)}`);
    await this.client.query(
      `CREATE FUNCTION pg_temp.ibex_explain(text) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS ${literal(
        'DECLARE explained text; BEGIN EXECUTE $1 INTO explained; RETURN explained; END',
      )}`,
    );
    await this.client.query('SET LOCAL ROLE NONE');
    const user = role ?? ((await this.client.query('SELECT current_user AS me')).rows[0] as { me: string }).me;
    this.searchPath = searchPath.replace(/"\$user"|\$user\b/g, () => ident(user));
  }

  private async set(name: string, value: string): Promise<void> {
    await this.client.query('SELECT pg_catalog.set_config($1, $2, true)', [name, value]);
  }

  /** Has the server parse the statement. Returns the types of its parameters, as SQL; throws the server's error. */
  async prepare(): Promise<readonly string[]> {
    // What is prepared outlives a rollback.
    await this.named(() => oneStatement(this.client, `PREPARE ${PREPARED} AS ${this.text}`));
    const { rows } = await this.client.query(
      `SELECT parameter_types::text[] AS types FROM pg_prepared_statements WHERE name = $1`,
      [PREPARED],
    );
    this.types = (rows[0] as { types: string[] }).types;
    return this.types;
  }

  /** Runs work that may fail, or leave something behind, without harm to the transaction. */
  async aside<T>(work: () => Promise<T>): Promise<T> {
    await this.client.query('SAVEPOINT aside');
    try {
      return await work();
    } finally {
      await this.client.query('ROLLBACK TO SAVEPOINT aside');
    }
  }

  /**
   * Runs one statement where names are found as the application finds them: what of ours came after it could meet the
   * application's operators. What it makes is rolled back.
   *
   * @param then more work in between, with names found as we find them
   */
  async named<T>(statement: () => Promise<T>, then?: () => Promise<void>): Promise<T> {
    return this.aside(async () => {
      await this.set('search_path', this.searchPath);
      const result = await statement();
      await this.set('search_path', 'pg_catalog');
      await then?.();
      return result;
    });
  }

  /** From here on nothing can be written. */
  async readOnly(): Promise<void> {
    await this.client.query('SET TRANSACTION READ ONLY');
  }

  /** The plan; with values that for them, else the one for any. */
  async plan(values: Values): Promise<Plan> {
    return this.explain('EXPLAIN (VERBOSE, FORMAT JSON)', values);
  }

  /** Runs the statement, twice where it is short, and gives the plan of the better run. */
  async measure(values: Values): Promise<Plan> {
    const run = (): Promise<Plan> =>
      this.explain('EXPLAIN (ANALYZE, VERBOSE, BUFFERS, TIMING OFF, FORMAT JSON)', values ?? []);
    const first = await run();
    if ((first.ms ?? 0) > LONG_MS) return first;
    const second = await run();
    return (second.ms ?? 0) < (first.ms ?? 0) ? second : first;
  }

  private async explain(how: string, values: Values): Promise<Plan> {
    const { rows } = await this.named(async () => {
      const asked = `${how} ${await this.executed(values)}`;
      return this.client.query('SELECT pg_temp.ibex_explain($1) AS explained', [asked]);
    });
    return readPlan(JSON.parse((rows[0] as { explained: string }).explained));
  }

  private async executed(values: Values): Promise<string> {
    const knows = this.version >= PLAN_CACHE_MODE;
    if (values === undefined && !knows && this.types.length > 0) return this.withStandIns();
    if (knows) await this.set('plan_cache_mode', values === undefined ? 'force_generic_plan' : 'force_custom_plan');
    const given = this.types.map((_, index) => values?.[index] ?? null);
    const list = given.map((value) => (value === null ? 'NULL' : literal(value))).join(', ');
    return `EXECUTE ${PREPARED}${list === '' ? '' : `(${list})`}`;
  }

  /** Each parameter as a query of its own, whose value the planner does not look at: before 12 no other way is sure. */
  private withStandIns(): string {
    return this.text.replace(/"(?:[^"]|"")*"|'(?:[^']|'')*'|\$(\d+)/g, (found, number: string | undefined) =>
      number === undefined ? found : `(SELECT NULL::${this.types[Number(number) - 1] ?? 'text'})`,
    );
  }

  /** Rolls everything back. */
  async close(): Promise<void> {
    await this.client.query('ROLLBACK');
    await this.client.query('DEALLOCATE ALL');
  }
}
