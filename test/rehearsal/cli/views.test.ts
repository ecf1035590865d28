import { PassThrough } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import type { Progress } from '../../../assets/agent/progress';
import { phaseLine } from '../../../lib/rehearsal/cli/phase-line';
import { PhaseWatch } from '../../../lib/rehearsal/cli/phase-watch';
import { PlainView } from '../../../lib/rehearsal/cli/plain-view';
import { TerminalView } from '../../../lib/rehearsal/cli/terminal-view';
import { stylesFor, type Output } from '../../../lib/rehearsal/cli/text';
import type { PhaseEnd, View } from '../../../lib/rehearsal/cli/view';
import { WritersLine } from '../../../lib/rehearsal/cli/writers-line';
import type { AutomationEvent } from '../../../lib/rehearsal/automation/result';
import { writers } from './outcome';

const progress: Progress = { done: 620_000, total: 1_000_000, unit: 'rows', note: 'shop.order', since: 0, at: 10_000 };
const watched = { progress: () => progress, writers: () => writers.statistics };

const ESCAPE = String.fromCharCode(27);

function screen(properties: Partial<Output> = {}): {
  stream: Output;
  text: () => string;
  until: (part: string) => Promise<void>;
} {
  const stream = Object.assign(new PassThrough().setEncoding('utf8'), properties);
  let text = '';
  stream.on('data', (chunk: string) => (text += chunk));
  const until = async (part: string): Promise<void> => {
    while (!text.includes(part)) await new Promise((resolve) => stream.once('data', resolve));
  };
  return { stream, text: () => text, until };
}

describe('how far a phase is, in one line', () => {
  test('has bar, percent, counts, rate and time left', () => {
    expect(phaseLine(progress, 58)).toBe('██████████░░░░░░   62%  620k/1.0M rows  62.0k/s  0:07 left');
  });

  test('never is wider than its place', () => {
    for (let width = 10; width < 100; width += 1) expect(phaseLine(progress, width).length).toBeLessThanOrEqual(width);
  });

  test('is a counter where nobody knows the end', () => {
    expect(phaseLine({ ...progress, total: 0 }, 58)).toBe('620k rows  62.0k/s');
  });

  test('promises no time before there is a rate', () => {
    expect(phaseLine({ ...progress, at: 500 }, 40)).not.toContain('left');
  });
});

describe('the writers, in one line', () => {
  test('are nothing before they start', () => {
    expect(new WritersLine().text(undefined)).toBe('');
  });

  test.each([
    ['often', 200],
    ['seldom', 5_000],
  ])('have the rate of the last seconds, when asked %s', (_often, step) => {
    let now = 0;
    const line = new WritersLine(() => now);
    const at = (acknowledgedWrites: number): string => line.text({ ...writers.statistics, acknowledgedWrites });
    for (; now < 20_000; now += step) at(now / 10);
    expect(at(now / 10)).toBe('2,000 writes acknowledged, 100/s, 21 errors');
  });
});

describe('without a terminal', () => {
  test('there is a line for each start and end, and one now and then between, with no control character', async () => {
    const { stream, text, until } = screen();
    const view = new PlainView(stream, watched, 5);
    view.line('installing');
    view.phaseStarted('restore');
    await until('writers');
    view.phaseEnded({ name: 'restore', succeeded: true, seconds: 2.5, message: '24 tables' });
    view.phaseEnded({ name: 'sync', succeeded: false, seconds: 90, message: 'no room' });
    view.close();
    const lines = text().trimEnd().split('\n');
    expect(lines[0]).toBe('installing');
    expect(lines[1]).toBe('restore: started');
    expect(lines[2]).toBe(
      'restore: 62% 620,000/1,000,000 rows, 62,000 rows/s, 0:07 left, shop.order; writers: 12,345 writes acknowledged, 0.0/s, 21 errors',
    );
    expect(lines.slice(-2)).toEqual(['restore: succeeded after 2.5 s: 24 tables', 'sync: FAILED after 1:30: no room']);
    expect(text().replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
  });

  test('nothing is said of phases any more once it is closed', () => {
    const { stream, text } = screen();
    const view = new PlainView(stream, watched, 5);
    view.close();
    view.phaseStarted('restore');
    expect(text()).toBe('');
  });
});

describe('on a terminal', () => {
  test('lines stay within its width, and the live ones are gone at the end', async () => {
    const { stream, text, until } = screen({ isTTY: true, columns: 60 });
    const view = new TerminalView(stream, watched, stylesFor(stream, { NO_COLOR: '1' }));
    view.phaseStarted('restore');
    await until('62%');
    await until('shop.order');
    await until('12,345 writes acknowledged');
    view.phaseEnded({
      name: 'restore',
      succeeded: false,
      seconds: 2.5,
      message: 'a message that is too long for one line of it',
    });
    view.close();
    const shown = stripVTControlCharacters(text());
    // A line begins anew where the cursor goes back to the first column.
    for (const line of text().replaceAll(`${ESCAPE}[1G`, '\n').split('\n'))
      expect(stripVTControlCharacters(line).length).toBeLessThan(60);
    expect(shown).toContain(
      '✗ restore     2.5 s  a message that is too long for one\n                     line of it\n',
    );
    expect(text().trimEnd()).toMatch(new RegExp(`${ESCAPE}\\[0?J$`));
  });
});

describe('what the automation says of a phase', () => {
  const at = (seconds: number): Date => new Date(1_000_000 + seconds * 1000);
  const base = { executionId: 'x', documentName: 'migrate' };
  const events = (status: 'Success' | 'Failed', output?: string): AutomationEvent[] => [
    { ...base, kind: 'step-started', at: at(0), path: ['dump'] },
    ...(output === undefined
      ? []
      : [{ ...base, kind: 'step-ended' as const, at: at(4), path: ['dump', 'result'], outputs: { Output: output } }]),
    { ...base, kind: 'step-ended', at: at(5), path: ['dump'], status, failureMessage: 'Command x\nended as Failed' },
  ];

  function ends(list: readonly AutomationEvent[]): PhaseEnd[] {
    const seen: PhaseEnd[] = [];
    const view: View = {
      line: () => undefined,
      phaseStarted: () => undefined,
      phaseEnded: (end) => void seen.push(end),
      close: () => undefined,
    };
    const watch = new PhaseWatch(view);
    for (const event of list) watch.onEvent(event);
    return seen;
  }

  test("is the job's own line", () => {
    expect(ends(events('Success', 'succeeded dump: 24 tables\n'))).toEqual([
      { name: 'dump', succeeded: true, seconds: 5, message: '24 tables' },
    ]);
    expect(ends(events('Failed', 'failed dump: no room\n\n----------ERROR-------\nexit 1'))).toEqual([
      { name: 'dump', succeeded: false, seconds: 5, message: 'no room' },
    ]);
  });

  test("is the runbook's where the job said nothing", () => {
    expect(ends(events('Failed'))).toMatchObject([{ message: 'Command x ended as Failed' }]);
  });

  test('is nothing for steps that are no phase', () => {
    expect(ends([{ ...base, kind: 'step-ended', at: at(1), path: ['approveCutover'], status: 'Success' }])).toEqual([]);
  });
});
