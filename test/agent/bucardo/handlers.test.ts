import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readHandlers } from '../../../assets/agent/bucardo/handlers';

describe('handlers in Perl', () => {
  const directory = mkdtempSync(join(tmpdir(), 'ibex-handlers-'));
  afterAll(() => rmSync(directory, { recursive: true }));
  const file = (name: string, code: string): string => {
    writeFileSync(join(directory, name), code);
    return join(directory, name);
  };

  test('are read when they compile as the body of a subroutine', async () => {
    const code = `my $info = shift;\n$info->{tablewinner} = 'ibex_source';\nreturn;\n`;
    const handler = { when: 'conflict' as const, file: file('good.pl', code) };
    expect(await readHandlers([handler], ['ibex'])).toEqual([{ ...handler, code }]);
  });

  test('are refused by name and line when they do not compile', async () => {
    const broken = file('broken.pl', 'my $info = shift;\nmy $x = = 1;\n');
    const reading = readHandlers([{ when: 'exception', file: broken }], ['ibex']);
    await expect(reading).rejects.toThrow(/broken\.pl does not compile: syntax error at .*broken\.pl line 2/);
  });

  test('are refused when the file is missing, or is for a sync that is not there', async () => {
    const missing = join(directory, 'none.pl');
    await expect(readHandlers([{ when: 'conflict', file: missing }], ['ibex'])).rejects.toThrow(
      `${missing} cannot be read (ENOENT)`,
    );
    const good = file('also-good.pl', 'return;');
    await expect(readHandlers([{ when: 'conflict', file: good, syncs: ['ibex3'] }], ['ibex', 'ibex2'])).rejects.toThrow(
      'is for sync ibex3, and there are ibex, ibex2',
    );
  });
});
