import type { Client } from 'pg';
import type { Context } from '../../../assets/agent/context';
import { copyAll } from '../../../assets/agent/copy';
import { COPY_PROBES, CopyTest } from '../../helpers/copy-test';
import { intercept } from '../catch-up/moving';

const ROWS = 5_000;
const LARGE = `
  CREATE TABLE public.large (id int PRIMARY KEY, filler text);
  INSERT INTO large SELECT i, repeat('f', 200) FROM generate_series(1, ${ROWS}) i;
  ANALYZE`;

let copy: CopyTest;
beforeAll(async () => {
  copy = await CopyTest.start();
});
afterAll(() => copy.migration.stop());

/** A run of the copy that stands still in its second chunk, whose rows are written and not committed. */
interface Held {
  readonly run: Promise<unknown>;
  /** The session on the target that holds them. */
  readonly holder: Client;
  goOn(): void;
}

async function holdSecondChunk(context: Context): Promise<Held> {
  const connect = context.connect.bind(context);
  let goOn = (): void => undefined;
  const gate = new Promise<void>((resolve) => (goOn = resolve));
  let seen = 0;
  let run!: Promise<unknown>;
  const holder = await new Promise<Client>((held) => {
    context.connect = async (end, purpose) => {
      const client = await connect(end, purpose);
      if (end !== 'target') return client;
      return intercept(client, (text) => {
        if (text !== 'COMMIT' || (seen += 1) !== 3) return undefined;
        held(client);
        return gate;
      });
    };
    run = copyAll(context, COPY_PROBES).catch((error: Error) => error.message);
  });
  return { run, holder, goOn };
}

const WAITING = `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%UPDATE ibex.relation%'`;

describe('a chunk of yesterday whose rows are not committed when another run takes over', () => {
  it.each(['commits', 'dies'] as const)(
    'is waited for until it %s; then nothing is doubled and none missing',
    async (end) => {
      await copy.prepare(LARGE);
      await copy.within(
        'copy',
        async (context) => {
          const { run, holder, goOn } = await holdSecondChunk(context);
          const before = await copy.chunks();
          const heir = copy.run();
          while ((await copy.target.query(WAITING)).rowCount === 0) expect(await copy.chunks()).toBe(before);
          if (end === 'dies') {
            const { processID: pid } = holder as unknown as { processID: number };
            await copy.target.query('SELECT pg_terminate_backend($1)', [pid]);
          }
          goOn();
          expect((await heir).result).toMatchObject({ rows: ROWS });
          expect(await run).toMatch(/belongs to copy .* another run has taken over; nothing was written/);
        },
        { copy: { ...copy.migration.config.copy, chunkMegabytes: 0.2, jobs: 1, indexJobs: 1 } },
      );
      expect(await copy.count('large')).toBe(ROWS);
      expect(await copy.one('target', 'SELECT sum(rows)::int AS n FROM ibex.chunk')).toEqual({ n: ROWS });
    },
  );
});
