import { renderSummary } from '../../../lib/rehearsal/cli/summary';
import { stylesFor } from '../../../lib/rehearsal/cli/text';
import { concludeRehearsal } from '../../../lib/rehearsal/report';
import { agent, outcome, writers } from './outcome';

const plain = stylesFor(process.stdout, { NO_COLOR: '1' });
const summary = (changes: Parameters<typeof outcome>[0] = {}, file?: string): string =>
  renderSummary(concludeRehearsal(outcome(changes)), plain, 80, file).join('\n');

describe('the summary', () => {
  test('says all that counts on one screen of 80 columns', () => {
    expect(summary({}, '/home/me/out/report.json')).toBe(`
phases        ✓ assess     0.3 s   ✓ schema     1.3 s   ✓ capture    2.3 s
              ✓ dump       3.3 s   ✓ restore    4.3 s   ✓ sync       5.3 s
              ✓ verify     6.3 s   ✓ plans      7.3 s   ✓ ready      8.3 s
              ✓ cutover    9.3 s   ✓ watch     10.3 s   ✓ cleanup   11.3 s
in all        1:15
writes        12,345 acknowledged, 0 lost; 2 without an answer, right either way
rows          1,002,345 compared as they stood in the pause, 0 different; the
              comparison took 4.2 s and was no part of the pause
applied       1,000,000 by copy, 2,000 by catch-up, 300 by Bucardo
write pause   412 ms as the writers saw it; 380 ms as the host saw it: fence 61,
              drain 290
clients       21 errors (25006 18, ECONNRESET 3); a transaction took 6.5 ms, 1
              in 100 over 52.4 ms
waited        writer of short transactions 431 ms, reader 63 ms
not written   shop.note (it has no key)
judged less   shop.total (by presence)
versions      PostgreSQL 11.22 to 17.10
report        /home/me/out/report.json

PASSED: nothing was lost, and every row is the same`);
  });

  test('ends with each reason when it did not pass', () => {
    const phases = agent.phases.slice(0, 2).map((phase) => ({ ...phase, status: 'failed', message: 'no room' }));
    const text = summary({ agent: { ...agent, phases }, failures: ['the target is gone'] });
    expect(text).toContain('✗ assess');
    expect(text.slice(text.indexOf('FAILED'))).toBe(`FAILED:
  - the target is gone
  - phase assess failed: no room
  - phase schema failed: no room
  - never ran: capture, dump, restore, sync, verify, plans, ready, cutover,
    watch, cleanup`);
  });

  test('can be shown when neither the host program nor the writers said anything', () => {
    const text = summary({ agent: undefined, writers: undefined });
    expect(text).toContain('clients       not known');
    expect(text).toContain('versions      PostgreSQL unknown to unknown');
  });

  test('names a dozen tables that were not written, and counts the others', () => {
    const tables = Array.from({ length: 30 }, (_, index) => ({
      table: `public.t${index}`,
      operations: {},
      judged: 'nothing' as const,
      unwritable: 'no key',
    }));
    expect(summary({ writers: { ...writers, tables } })).toMatch(/public\.t11 \(no key\), and\s+18 more/);
  });
});

describe('colours', () => {
  const terminal = Object.assign(Object.create(process.stdout) as NodeJS.WriteStream, { isTTY: true });

  test('are for terminals', () => {
    expect(stylesFor(terminal, {}).good('yes')).toBe('\u001B[32myes\u001B[39m');
    expect(
      stylesFor(Object.assign(Object.create(terminal) as NodeJS.WriteStream, { isTTY: false }), {}).good('yes'),
    ).toBe('yes');
  });

  test.each([{ NO_COLOR: '1' }, { TERM: 'dumb' }])('are not for those with %j', (environment) => {
    expect(stylesFor(terminal, environment).good('yes')).toBe('yes');
  });
});
