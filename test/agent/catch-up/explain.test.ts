import { capture } from '../../../assets/agent/capture';
import { readRelations } from '../../../assets/agent/catalog/relations';
import { applyChanges } from '../../../assets/agent/catch-up/apply';
import { applyFew } from '../../../assets/agent/catch-up/apply-few';
import type { Context } from '../../../assets/agent/context';
import { Lease } from '../../../assets/agent/lease';
import { copySchema } from '../../../assets/agent/schema';
import { CopyTest } from '../../helpers/copy-test';
import { latin1Target, NOT_LATIN1 } from '../../helpers/latin1';

let copy: CopyTest;
beforeAll(async () => {
  copy = await CopyTest.start();
});
afterAll(() => copy.migration.stop());

it('names the text that the encoding of the target does not know, and what to do about it', async () => {
  await copy.source.query('CREATE TABLE item (id int PRIMARY KEY, note text)');
  const latin1 = await latin1Target(copy.migration);
  const run = <T>(phase: string, work: (context: Context) => Promise<T>) => copy.within(phase, work, latin1);
  await run('schema', copySchema);
  await run('capture', (context) => capture.run(context));
  await copy.source.query(`INSERT INTO item VALUES (1, 'known'), (2, '${NOT_LATIN1}')`);
  const cure =
    /^"public"."item" cannot be applied: character with byte sequence .* has no equivalent in encoding "LATIN1" \(COPY item, line 2.*\); the source holds text that the target's encoding does not know; correct that value there; nothing was forgotten; start again$/;
  await run('sync', async (context) => {
    const [source, target] = [await context.connect('source'), await context.connect('target')];
    const lease = await Lease.take(target, 'catch-up');
    const [item] = await readRelations(source, context.config);
    if (!item) throw new Error('no table');
    await expect(applyChanges({ source, target }, lease, item)).rejects.toThrow(cure);
  });
  await run('sync', async (context) => {
    const [source, target] = [await context.connect('source'), await context.connect('target')];
    const lease = await Lease.take(target, 'catch-up');
    const relations = await readRelations(source, context.config);
    await expect(applyFew({ source, target }, lease, relations)).rejects.toThrow(cure);
  });
});
