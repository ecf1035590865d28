import { copy as phase, copyAll } from '../../../assets/agent/copy';
import { copyByBucardo } from '../../../assets/agent/copy/onetimecopy';
import { COPY_PROBES, CopyTest } from '../../helpers/copy-test';

let copy: CopyTest;
beforeAll(async () => {
  copy = await CopyTest.start();
});
afterAll(() => copy.migration.stop());

it('onetimecopy is refused by name, before anything is begun, for more than its limit and for a table that others inherit from', async () => {
  await copy.prepare(`
    CREATE TABLE large (id int PRIMARY KEY, filler text);
    CREATE TABLE child (PRIMARY KEY (id)) INHERITS (large);
    INSERT INTO large SELECT i, repeat('f', 100) FROM generate_series(1, 20000) i;
    ANALYZE`);
  const config = copy.migration.config.copy;
  const way = { copy: { ...config, method: 'onetimecopy' as const, onetimecopyMegabytes: 1 } };
  await expect(copy.within('copy', (context) => phase.run(context), way)).rejects.toThrow(
    /^the tables have .* MB, and onetimecopy, .* copies up to agent\.copy\.onetimecopyMegabytes 1; set agent\.copy\.method "stream" or "dump"; "public"\."large" has tables that inherit from it, which onetimecopy empties with it; set agent\.copy\.method "stream" or "dump"$/,
  );
  const applier = `SELECT applier FROM ibex.relation WHERE relation_name = 'large'`;
  expect(await copy.one('target', applier)).toEqual({ applier: 'copy' });
  expect((await copy.within('copy', (context) => copyAll(context))).message).toMatch(/^20000 rows of 2 tables copied/);
});

it('says that Bucardo has not copied, and what to do, when the target goes away meanwhile', async () => {
  await copy.prepare('CREATE TABLE item (id int PRIMARY KEY); INSERT INTO item VALUES (1)');
  const copying = copy.within('copy', (context) => {
    const connect = context.connect.bind(context);
    context.connect = async (end, purpose) => {
      const client = await connect(end, purpose);
      const query = client.query.bind(client) as (...args: unknown[]) => unknown;
      // Bucardo's login is made once all that belongs to the copy is prepared.
      client.query = ((...args: unknown[]) => {
        if (end === 'target' && String(args[0]).includes(' LOGIN PASSWORD ')) void client.end();
        return query(...args);
      }) as typeof client.query;
      return client;
    };
    return copyAll(context, COPY_PROBES, copyByBucardo);
  });
  await expect(copying).rejects.toThrow(
    /^Bucardo has not copied the rows: .*; start copy again, it begins anew, or set agent\.copy\.method "stream"$/,
  );
});
