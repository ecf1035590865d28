import type { Client } from 'pg';
import { CatchUp } from '../../../assets/agent/catch-up/rounds';
import type { Context } from '../../../assets/agent/context';
import type { Server } from '../../../assets/agent/endpoints';
import { Lease } from '../../../assets/agent/lease';
import { until } from '../../helpers/until';
import { cutOff, intercept, startMoving, terminate, type Moving } from './moving';

/** Changes of a range; one page of a queue is more than that. */
const BATCH = 100;

/** Rows of each table at first. */
const ROWS = 120;

/** What one hand says while it applies a range, from the first statement to the last. */
const STATEMENTS = [
  ['source SELECT', 'target BEGIN', 'target SET', 'target SELECT', 'source BEGIN', 'source SET', 'target SET'],
  ['source SELECT', 'target CREATE', 'target COPY', 'source COPY', 'target ANALYZE', 'target DELETE', 'target COPY'],
  ['source COPY', 'target COMMIT', 'source DELETE', 'source COMMIT'],
].flat();

/** A table of each way in which the target finds the rows that it replaces. */
interface Kind {
  readonly way: string;
  readonly table: string;
  /** Column whose values run from 1 to `ROWS`. */
  readonly n: string;
  /** Key of the row `i`. */
  readonly key: string;
  /** Sets the key of a row to that of 1000 less. */
  readonly move: string;
  readonly statements: readonly string[];
}

const KINDS: readonly Kind[] = [
  {
    way: 'looked up by a list of keys',
    table: 'single',
    n: 'id',
    key: 'i',
    move: 'id = 1000 - id',
    statements: STATEMENTS.filter((statement) => statement !== 'target ANALYZE'),
  },
  {
    way: 'joined with the keys',
    table: 'several',
    n: 'b',
    key: 'i / 50, i',
    move: 'a = (1000 - b) / 50, b = 1000 - b',
    statements: STATEMENTS,
  },
];

/** Told of a statement ahead of it. */
type Before = (end: Server, text: string, client: Client) => Promise<unknown> | undefined;

const NOTHING: Before = () => undefined;

let moving: Moving;
let context: Context;
let before = NOTHING;
let isDead = false;
const sessions = new Set<Client>();
beforeAll(async () => {
  moving = await startMoving(
    `CREATE TABLE public.single (id int PRIMARY KEY, v text);
     CREATE TABLE public.several (a int, b int, v text, PRIMARY KEY (a, b))`,
    KINDS.map(({ table, key }) => `INSERT INTO ${table} SELECT ${key} FROM generate_series(1, ${ROWS}) i`).join(';'),
  );
  const { restore } = moving.migration.config;
  context = await moving.migration.context('sync', { restore: { ...restore, jobs: 1 } });
  const connect = context.connect.bind(context);
  context.connect = async (end, purpose) => {
    if (isDead) throw new Error('the program is dead');
    const client = await connect(end, purpose);
    sessions.add(client);
    client.once('end', () => sessions.delete(client));
    return intercept(client, (text) => before(end, text, client));
  };
  // The first rounds change less than the later ones.
  for (const kind of KINDS) {
    for (let times = 0; times < 6; times += 1) await change(kind);
    await expectMended(kind);
  }
});
afterAll(() => moving.migration.stop());

const rounds = new Map<Kind, number>();

/** New, changed, moved and deleted keys in each range; no two rounds alike. */
async function change(kind: Kind): Promise<void> {
  const { table, n, key, move } = kind;
  const round = (rounds.get(kind) ?? 0) + 1;
  rounds.set(kind, round);
  const sixth = (add: number): string => `% 6 = ${(round + add) % 6}`;
  await moving.source.query(`
    DELETE FROM ${table} WHERE ${n} > 500 OR ${n} ${sixth(0)};
    INSERT INTO ${table} SELECT ${key}, 'new ${round}' FROM generate_series(1, ${ROWS}) i WHERE i ${sixth(2)} OR i ${sixth(4)}
      ON CONFLICT DO NOTHING;
    UPDATE ${table} SET v = 'changed ${round}' WHERE ${n} ${sixth(1)};
    UPDATE ${table} SET ${move} WHERE ${n} ${sixth(3)} AND ${n} < 500`);
}

/**
 * Applies the changes with one hand, and strikes ahead of the nth statement of its second range, counting those of the
 * given ends. Returns what was struck and how catch-up ended; undefined when there were fewer.
 */
async function struckAt(
  { table }: Kind,
  nth: number,
  ends: readonly Server[],
  strike: Before,
): Promise<{ statement: string; outcome: unknown } | undefined> {
  let [ranges, seen] = [0, 0];
  let statement: string | undefined;
  let striking: Promise<unknown> | undefined;
  before = (end, text, client) => {
    if (statement !== undefined) return undefined;
    if (ranges === 1 && ends.includes(end) && (seen += 1) === nth) {
      statement = `${end} ${/\w+/.exec(text)?.[0]}`;
      striking = strike(end, text, client);
      return striking;
    }
    if (end === 'source' && text === 'COMMIT') ranges += 1;
    return undefined;
  };
  const catchUp = new CatchUp(context, moving.relations(), moving.lease, BATCH);
  const outcome = await catchUp.apply([moving.relation(table)]).catch((error: unknown) => error);
  await striking;
  await catchUp.close();
  [before, isDead] = [NOTHING, false];
  expect(ranges).toBeGreaterThan(0);
  return statement === undefined ? undefined : { statement, outcome };
}

/** Starts catch-up anew, as the program does, and expects it to leave both ends equal and the queue empty. */
async function expectMended({ table }: Kind): Promise<void> {
  moving.lease = await Lease.take(moving.target, 'catch-up');
  const catchUp = new CatchUp(context, moving.relations(), moving.lease, BATCH);
  await catchUp.until(moving.source, 1);
  await catchUp.close();
  expect(await moving.rows('target', table)).toEqual(await moving.rows('source', table));
  expect(await moving.queued(table)).toBe(0);
  // Else each round's queue is longer than the last one's, and cut into more ranges.
  await moving.source.query(`VACUUM bucardo."delta_public_${table}"`);
}

/** The end of the process: whatever is on its way stays so, and no session comes after. */
function die(): void {
  isDead = true;
  cutOff(...sessions);
}

const endSession: Before = (end, _, client) => terminate(moving, end === 'source' ? 'source' : 'target', client);

/** Another host begins to catch up; what the first may have read already is no more. */
async function takeOver({ table, n }: Kind): Promise<void> {
  const taking = Lease.take(moving.target, 'catch-up');
  await moving.source.query(`DELETE FROM ${table} WHERE ${n} = (SELECT max(${n}) FROM ${table})`);
  const catchUp = new CatchUp(context, moving.relations(), await taking, BATCH);
  await catchUp.until(moving.source, 1);
  await catchUp.close();
}

/** Whoever waits for another's transaction. */
const WAITING = `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'`;

const BOTH: readonly Server[] = ['source', 'target'];

describe.each(KINDS)('a range whose rows are $way', (kind) => {
  it.each<readonly [string, Before]>([
    ['the program dies before any of its statements is sent', () => void die()],
    ['the program dies once any of its statements is sent', () => void setImmediate(die)],
    ['a server ends the session of any of its statements', endSession],
  ])('loses and doubles nothing when %s, and catch-up is started again', async (_, strike) => {
    const struck: string[] = [];
    for (let nth = 1; ; nth += 1) {
      await change(kind);
      const hit = await struckAt(kind, nth, BOTH, strike);
      // Its range is given back, and applied with another one, unless a COMMIT may be on its way.
      const isGivenBack = strike === endSession && hit?.statement !== 'target COMMIT';
      const outcome = expect.any(isGivenBack ? Number : Error) as unknown;
      if (hit !== undefined) expect([hit.statement, hit.outcome]).toEqual([hit.statement, outcome]);
      await expectMended(kind);
      if (hit === undefined) break;
      struck.push(hit.statement);
    }
    expect(struck).toEqual(kind.statements);
  });

  it('loses and doubles nothing when the server of the target is killed at any statement there', async () => {
    const struck: string[] = [];
    for (let nth = 1; ; nth += 1) {
      await change(kind);
      const killed: Promise<void>[] = [];
      // Each statement of both kinds: before it is sent with one of them, while it is on its way with the other.
      const waits = (nth + KINDS.indexOf(kind)) % 2 === 0;
      const hit = await struckAt(kind, nth, ['target'], () => {
        killed.push(moving.migration.target.kill());
        return waits ? killed[0] : undefined;
      });
      await Promise.all(killed);
      if (hit !== undefined) {
        await moving.migration.target.start();
        await moving.reconnect();
      }
      await expectMended(kind);
      if (hit === undefined) break;
      struck.push(hit.statement);
    }
    expect(struck).toEqual(kind.statements.filter((statement) => statement.startsWith('target')));
  });
});

it.each(KINDS.slice(-1))(
  'a range loses nothing and brings nothing back when another host takes over at any of its statements',
  async (kind) => {
    const watchers = [await moving.migration.admin('source'), await moving.migration.admin('target')];
    const waits = async (): Promise<boolean> =>
      (await Promise.all(watchers.map((watcher) => watcher.query(WAITING)))).some(({ rows }) => rows.length > 0);
    const struck: string[] = [];
    let refusals = 0;
    for (let nth = 1; ; nth += 1) {
      await change(kind);
      let over: Promise<void> | undefined;
      const hit = await struckAt(kind, nth, BOTH, () => {
        let isOver = false;
        over = takeOver(kind).finally(() => (isOver = true));
        // The first one stands still until the other one is done, or waits for it.
        return until(async () => isOver || waits(), { everyMs: 2 });
      });
      await over;
      const told = hit?.outcome instanceof Error ? hit.outcome.message : '';
      expect(told).toMatch(/^$|another run has taken over; nothing was written/);
      if (told !== '') refusals += 1;
      await expectMended(kind);
      if (hit === undefined) break;
      struck.push(hit.statement);
    }
    await Promise.all(watchers.map((watcher) => watcher.end()));
    expect(struck).toEqual(kind.statements);
    expect(refusals).toBeGreaterThan(0);
  },
);
