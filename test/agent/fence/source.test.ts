import { openSource } from '../../../assets/agent/fence/source';
import { aroundSource, codeOf, refusal, REFUSED, WRITES } from './around-source';

const here = aroundSource();

describe('the fence around the source', () => {
  it.each(WRITES)('lets %s through before it stands, and not after', async (_, statement) => {
    expect(await refusal(here.source, statement)).toBeUndefined();
    await here.fence();
    expect(await refusal(here.source, statement)).toBe(REFUSED);
  });

  it('says what was refused, where and what to do', async () => {
    await here.fence();
    await expect(here.source.query('INSERT INTO "Left Out"."Order" VALUES (1)')).rejects.toThrow(
      'cannot execute INSERT on "Left Out"."Order": this database is being moved (Ibex cutover); reconnect and try again',
    );
  });

  it.each(['READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'])(
    'holds for a %s transaction that began before it and looks at an older snapshot',
    async (level) => {
      const old = await here.migration.admin('source');
      await old.query('PREPARE w AS UPDATE item SET n = n + 1 WHERE id = 1');
      await old.query(`BEGIN; EXECUTE w; SELECT add_item(77); ROLLBACK`);
      await old.query(`BEGIN ISOLATION LEVEL ${level}`);
      await old.query('SELECT * FROM item');
      await here.fence();
      for (const statement of ['EXECUTE w', 'SELECT add_item(78)', 'INSERT INTO measure VALUES (3)']) {
        await old.query('SAVEPOINT s');
        expect(await old.query(statement).then(() => 'passed', codeOf)).toBe(REFUSED);
        await old.query('ROLLBACK TO s');
      }
      await old.query('COMMIT');
      await old.end();
    },
  );

  it('lets pass what it must: reading, row locks, temporary tables, sequences', async () => {
    await here.fence();
    const statement = `SELECT * FROM item FOR UPDATE; CREATE TEMP TABLE t (i int); INSERT INTO t VALUES (1); SELECT nextval('counter')`;
    expect(await refusal(here.source, statement)).toBeUndefined();
  });

  it('lets appliers in replica role pass, through a partitioned table too', async () => {
    await here.fence();
    const applier = `SET LOCAL session_replication_role = 'replica'; `;
    for (const [, statement] of WRITES) {
      if (!statement.includes('SET ROLE')) expect(await refusal(here.source, applier + statement)).toBeUndefined();
    }
  });

  it('can be put up again, over one that was opened, and tells how many tables it is around', async () => {
    expect(await here.fence()).toMatchObject({ tables: 9, attempts: 1 });
    expect(await openSource(await here.session())).toBe('open');
    expect(await refusal(here.source, 'INSERT INTO item VALUES (9)')).toBeUndefined();
    expect(await here.fence()).toMatchObject({ tables: 9, attempts: 1 });
    expect(await refusal(here.source, 'INSERT INTO item VALUES (9)')).toBe(REFUSED);
  });

  it('takes in a table that was made after an earlier fence', async () => {
    await here.fence();
    await openSource(await here.session());
    await here.source.query('CREATE TABLE late (id int)');
    await here.fence();
    expect(await refusal(here.source, 'INSERT INTO late VALUES (1)')).toBe(REFUSED);
    await here.source.query('DROP TABLE late');
  });
});
