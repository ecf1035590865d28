import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readHandlers, tellIdleHandlers } from '../../../assets/agent/bucardo/handlers';
import type { SyncHandler } from '../../../assets/agent/config';
import type { Context } from '../../../assets/agent/context';

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

  test.each<[string, SyncHandler['when'][], string[]]>([
    ['for conflicts are told of, since none occurs', ['exception', 'conflict', 'conflict'], ['/1.pl', '/2.pl']],
    ['for exceptions are not', ['exception'], []],
  ])('%s', async (_what, whens, idle) => {
    const handlers = whens.map((when, i) => ({ when, file: `/${i}.pl` }));
    const [warn, evidence] = [jest.fn(), jest.fn()];
    const context = { config: { sync: { handlers } }, log: { warn }, evidence } as unknown as Context;
    expect(await tellIdleHandlers(context)).toEqual(idle);
    const figure = '/1.pl, /2.pl will never run: a sync of one direction has no conflicts';
    const todo = expect.stringContaining(`agent.sync.handlers has when 'conflict'`) as unknown;
    const told = [['handlers that can run', false, 'agent.sync.handlers', { verdict: 'warn', figure, todo }]];
    expect(evidence.mock.calls).toEqual(idle.length > 0 ? told : []);
    expect(warn).toHaveBeenCalledTimes(idle.length > 0 ? 1 : 0);
  });
});
