import { OFF_FACT } from '../../../assets/agent/brake/capture-off';
import { ourTriggers } from '../../../assets/agent/cleanup/source';
import { copyAll } from '../../../assets/agent/copy';
import { handOver } from '../../../assets/agent/sync/applier';
import { syncedRelations } from '../../../assets/agent/sync/synced';
import { COPY_PROBES, CopyTest } from '../../helpers/copy-test';
import { intercept } from '../catch-up/moving';

let copy: CopyTest;
beforeAll(async () => {
  copy = await CopyTest.start();
  await copy.prepare('CREATE TABLE item (id int PRIMARY KEY)');
  await copy.within('copy', (context) => copyAll(context, COPY_PROBES));
});
afterAll(() => copy?.migration.stop());

test('triggers that Bucardo makes while the brake takes capture off go, too, and nothing is handed over again', async () => {
  const host = { ...copy.migration.config.host, bucardo: '/bin/false' };
  await copy.within(
    'supervise',
    async (context) => {
      const ends = { source: await context.connect('source'), target: await context.connect('target') };
      const relations = await syncedRelations(context, ends);
      // The brake notes this first, here in the midst of the hand-over.
      intercept(ends.target, (text) => {
        if (!text.includes('ibex.generation')) return undefined;
        return context.state.setFact(OFF_FACT, { reason: 'a test' });
      });

      await expect(handOver(context, ends, relations)).rejects.toThrow();
      expect(await ourTriggers(copy.source, 'bucardo')).toEqual([]);

      await expect(handOver(context, ends, relations)).rejects.toThrow('capture was taken off because a test');
    },
    { host },
  );
});
