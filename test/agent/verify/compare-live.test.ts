import type { Client } from 'pg';
import { DBGROUP } from '../../../assets/agent/bucardo/names';
import { installShared, queueStatements, triggerStatements } from '../../../assets/agent/capture/objects';
import { compareLive } from '../../../assets/agent/verify/compare-live';
import type { RelationComparison } from '../../../assets/agent/verify/comparison';
import { startEnds, type Ends } from './ends';

const PATIENCE = { settleSeconds: 0.3, intervalMs: 20 };

let ends: Ends;
let writer: Client;
beforeAll(async () => {
  ends = await startEnds();
  writer = await ends.open('source');
  await installShared(ends.source);
});
afterAll(async () => {
  await writer.end();
  await ends.stop();
});

describe.each([
  ['a key of one column', 'id int PRIMARY KEY', 'g'],
  ['a composite key with text', 'a text, id int, PRIMARY KEY (a, id)', `'a' || g % 5, g`],
])('a live comparison of a relation with %s', (_, columns, values) => {
  beforeEach(async () => {
    await ends.run('both', `DROP TABLE IF EXISTS public.live; CREATE TABLE public.live (${columns}, v text)`);
    await ends.run('both', `INSERT INTO public.live SELECT ${values}, 'v' || g FROM generate_series(1, 5000) g`);
    await ends.run('source', 'DROP TABLE IF EXISTS bucardo.delta_public_live, bucardo.track_public_live');
    const relation = await ends.relation('"public"."live"');
    for (const statement of [...queueStatements(relation), ...triggerStatements(relation)]) {
      await ends.run('source', statement);
    }
  });

  const compare = async (onChunk?: (rows: number) => Promise<void>): Promise<RelationComparison> =>
    compareLive(
      {
        source: ends.source,
        target: ends.target,
        relation: await ends.relation('"public"."live"'),
        chunkRows: 1000,
        ...(onChunk && { onChunk }),
      },
      PATIENCE,
    );
  const found = ({ keys, inFlight }: RelationComparison): object => ({
    inFlight,
    different: keys.map(({ kind, key }) => `${kind} ${key.at(-1)}`).sort(),
  });
  /** Does what Bucardo does: the target first, then the note that it is done. */
  const apply = async (sql: string): Promise<void> => {
    await ends.run('target', sql);
    await writer.query(
      `INSERT INTO bucardo.track_public_live SELECT DISTINCT txntime, '${DBGROUP}' FROM bucardo.delta_public_live`,
    );
  };

  it('finds nothing where nothing differs', async () => {
    expect(found(await compare())).toEqual({ inFlight: 0, different: [] });
  });

  it('counts rows with a pending change as in flight, never as different', async () => {
    await writer.query(`UPDATE public.live SET v = 'new' WHERE id <= 700`);
    await writer.query('DELETE FROM public.live WHERE id = 5000');
    expect(found(await compare())).toEqual({ inFlight: 701, different: [] });
  });

  it('finds rows equal as soon as their change is applied', async () => {
    const change = `UPDATE public.live SET v = 'new' WHERE id <= 3; DELETE FROM public.live WHERE id = 4`;
    await writer.query(change);
    let applied: Promise<void> | undefined;
    const result = await compare(async () => {
      applied ??= apply(change);
      await applied;
    });
    expect(found(result)).toEqual({ inFlight: 0, different: [] });
  });

  it('finds a row different that has no pending change, although others of its chunk have', async () => {
    await ends.run('target', `UPDATE public.live SET v = 'wrong' WHERE id = 10`);
    await ends.run('target', 'DELETE FROM public.live WHERE id = 11');
    await ends.run('target', `INSERT INTO public.live SELECT ${values}, 'extra' FROM generate_series(6000, 6000) g`);
    await writer.query(`UPDATE public.live SET v = 'new' WHERE id BETWEEN 12 AND 20`);
    expect(found(await compare())).toEqual({
      inFlight: 9,
      different: ['different 10', 'extra on target 6000', 'missing on target 11'],
    });
  });

  it('finds a change different that is said to be applied and is not', async () => {
    await writer.query(`UPDATE public.live SET v = 'lost' WHERE id = 42`);
    await apply('SELECT 1');
    expect(found(await compare())).toEqual({ inFlight: 0, different: ['different 42'] });
  });

  it('takes a change for pending that another group of databases has applied', async () => {
    await writer.query(`UPDATE public.live SET v = 'new' WHERE id = 42`);
    await writer.query(
      `INSERT INTO bucardo.track_public_live SELECT txntime, 'dbgroup other' FROM bucardo.delta_public_live`,
    );
    expect(found(await compare())).toEqual({ inFlight: 1, different: [] });
  });

  it('takes every change for pending before Bucardo has a track table', async () => {
    await ends.run('source', 'DROP TABLE bucardo.track_public_live');
    await writer.query(`UPDATE public.live SET v = 'new' WHERE id = 42`);
    expect(found(await compare())).toEqual({ inFlight: 1, different: [] });
  });

  it('takes all rows of a truncated relation for in flight until it is copied anew', async () => {
    await writer.query('TRUNCATE public.live');
    expect(found(await compare())).toEqual({ inFlight: 5000, different: [] });
    await ends.run('target', 'TRUNCATE public.live');
    await writer.query('DELETE FROM bucardo.ibex_truncated');
    expect(found(await compare())).toEqual({ inFlight: 0, different: [] });
  });

  it('never calls a row different that is written and applied all the time', async () => {
    const stop = new AbortController();
    const writing = (async () => {
      const target = await ends.open('target');
      for (let i = 0; !stop.signal.aborted; i++) {
        const change = `UPDATE public.live SET v = 'hot ${i}' WHERE id BETWEEN 100 AND 140`;
        await writer.query(change);
        await target.query(change);
        await writer.query(
          `INSERT INTO bucardo.track_public_live SELECT DISTINCT txntime, '${DBGROUP}' FROM bucardo.delta_public_live
             d WHERE NOT EXISTS (SELECT FROM bucardo.track_public_live t WHERE t.txntime = d.txntime)`,
        );
      }
      await target.end();
    })();
    const results = [await compare(), await compare(), await compare()];
    stop.abort();
    await writing;
    expect(results.map(({ keys }) => keys)).toEqual([[], [], []]);
  });
});

describe('a live comparison', () => {
  it('refuses a relation whose changes are not captured', async () => {
    await ends.run('both', 'CREATE TABLE public.uncaptured (id int PRIMARY KEY)');
    const relation = await ends.relation('"public"."uncaptured"');
    const options = { source: ends.source, target: ends.target, relation, chunkRows: 10 };
    await expect(compareLive(options, PATIENCE)).rejects.toThrow(
      '"public"."uncaptured" is not captured: "bucardo"."delta_public_uncaptured" does not exist; start the capture runbook',
    );
  });

  it('refuses a relation without a key', async () => {
    await ends.run('both', 'CREATE TABLE public.keyless (id int)');
    const relation = await ends.relation('"public"."keyless"');
    const options = { source: ends.source, target: ends.target, relation, chunkRows: 10 };
    await expect(compareLive(options, PATIENCE)).rejects.toThrow('"public"."keyless" has no usable key');
  });
});
