import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { capture } from '../../../assets/agent/capture';
import { readRelations } from '../../../assets/agent/catalog/relations';
import type { AgentConfig } from '../../../assets/agent/config';
import { settingsOf } from '../../../assets/agent/sync/settings';
import { CopyTest } from '../../helpers/copy-test';

const directory = mkdtempSync(join(tmpdir(), 'ibex-settings-'));
const file = join(directory, 'handler.pl');

let copy: CopyTest;
beforeAll(async () => {
  copy = await CopyTest.start();
  await copy.prepare('CREATE TABLE item (id int PRIMARY KEY); CREATE TABLE other (id int PRIMARY KEY)');
});
afterAll(async () => {
  rmSync(directory, { recursive: true });
  await copy?.migration.stop();
});

const withSync = (sync: Partial<AgentConfig['sync']>): Partial<AgentConfig> => ({
  sync: { ...copy.migration.config.sync, ...sync },
});

const digest = (sync: Partial<AgentConfig['sync']> = {}): Promise<string> =>
  copy.within(
    'sync',
    async (context) => {
      const source = await context.connect('source');
      return settingsOf(context, source, await readRelations(source, context.config));
    },
    withSync(sync),
  );

describe('settings that Bucardo is told of', () => {
  it('are the same until one of them is another', async () => {
    const before = await digest();
    expect(await digest({ handoverKeys: 5_000 })).toBe(before);
    expect(await digest({ groups: [['public.item']] })).not.toBe(before);
    expect(await digest({ checkSeconds: 7 })).not.toBe(before);
  });

  it('are others once capture allows more syncs', async () => {
    const asked = await digest({ syncs: 2 });
    await copy.within('capture', (context) => capture.run(context), withSync({ syncs: 2 }));
    expect(await digest({ syncs: 2 })).not.toBe(asked);
  });

  it('are others once a handler has another text, which must compile', async () => {
    const handlers = [{ when: 'exception' as const, file }];
    writeFileSync(file, 'return;');
    const before = await digest({ handlers });
    writeFileSync(file, 'my $info = shift; return;');
    expect(await digest({ handlers })).not.toBe(before);
    writeFileSync(file, 'my $x = = 1;');
    await expect(digest({ handlers })).rejects.toThrow('handler.pl does not compile');
  });
});
