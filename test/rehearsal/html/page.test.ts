import { pauseChart } from '../../../lib/rehearsal/html/pause-chart';
import { reportPage } from '../../../lib/rehearsal/html/page';
import { html, Html } from '../../../lib/rehearsal/html/template';
import { concludeRehearsal } from '../../../lib/rehearsal/report';
import { agent, outcome } from '../cli/outcome';

const HOSTILE = `<script>alert("it's")</script>&`;
const evidence = [
  { at: '2026-01-02T03:04:05.678Z', phase: 'ready', gate: 'lag', passed: true, query: 'SELECT 1 < 2', result: { verdict: 'warn', figure: HOSTILE, todo: 'wait', result: { seconds: 31 } } },
  { at: '2026-01-02T03:04:06.000Z', phase: 'cutover', gate: HOSTILE, passed: false, query: HOSTILE, result: { key: HOSTILE } },
]; // prettier-ignore
const page = (changes = {}): string =>
  reportPage(concludeRehearsal(outcome({ agent: { ...agent, evidence, ...changes } })));

describe('a template', () => {
  test('escapes every value, in text and in attributes', () => {
    expect(html`<a title="${HOSTILE}">${[HOSTILE, 1]}</a>${undefined}`.text).toBe(
      '<a title="&lt;script&gt;alert(&quot;it&#39;s&quot;)&lt;/script&gt;&amp;">&lt;script&gt;alert(&quot;it&#39;s&quot;)&lt;/script&gt;&amp;1</a>',
    );
  });

  test('takes only its own HTML as it is', () => {
    expect(html`<b>${html`<i>${'<'}</i>`}${new Html('<br>')}</b>`.text).toBe('<b><i>&lt;</i><br></b>');
  });
});

describe('the page', () => {
  test('shows the verdict, the figures, the pause and the phases', () => {
    const text = page();
    for (const part of ['passed', '12,345', '380 ms as the host saw it', 'The longest that the writers saw: 412 ms', '25006', 'cleanup is done'])
      expect(text).toContain(part); // prettier-ignore
  });

  test('shows each gate with its verdict, figure, what to do, question and answer', () => {
    const text = page();
    expect(text).toContain('<span class="verdict warn">warn</span>');
    expect(text).toContain('<span class="verdict block">block</span>');
    for (const part of ['SELECT 1 &lt; 2', '&quot;seconds&quot;: 31', '>wait<', '03:04:05.678'])
      expect(text).toContain(part);
  });

  test('lets nothing that a database said become markup, and loads nothing', () => {
    const text = page();
    expect(text).not.toContain('<script');
    expect(text).not.toMatch(/(src|href)=|url\(|@import/);
  });

  test('shows what clients of each kind saw', () => {
    const text = page().replace(/\s+/g, ' ');
    expect(text).toMatch(
      /<td>reader<\/td> <td class="number">700<\/td> <td class="number">63 ms<\/td> <td class="number">2<\/td> <td>ECONNRESET \(2\)<\/td>/,
    );
  });

  test('shows what the host knows of the clients of each move, with what it does not know', () => {
    const kinds = [
      { user: HOSTILE, application: HOSTILE, sessions: 1_234, errors: 5, longestWaitMs: 2_345, how: HOSTILE },
      { errors: 7, how: 'counted' },
    ];
    const { cutover } = agent;
    const text = page({ cutover: { ...cutover, clientsSaw: { kinds, unknown: [HOSTILE] } } }).replace(/\s+/g, ' ');
    for (const part of ['What clients saw, as the host knows it', '1,234', '2,345 ms', '<td>everybody</td>', '<td>counted</td>', 'Not known: &lt;script'])
      expect(text).toContain(part); // prettier-ignore
    expect(text).not.toContain('<script');
    expect(page()).not.toContain('as the host knows it');
  });

  test('shows the watch: each check with its last and its worst finding, and what was decided', () => {
    const bad = {
      verdict: 'bad',
      figure: '1 of 2 probes are not well',
      cause: HOSTILE,
      at: '2026-01-02T03:04:05.678Z',
    };
    const checks = {
      health: { ok: 8, warn: 0, bad: 2, last: { verdict: 'ok', figure: '2 probes are well' }, worst: bad },
    };
    const decisions = [{ at: bad.at, why: 'health', outcome: 'failed rollback: no' }];
    const watch = { cutover: 'c', watchedSeconds: 100, looks: 10, badLooks: 2, checks, decisions };
    const text = page({ watch }).replace(/\s+/g, ' ');
    for (const part of ['10 looks in 1:40, 2 of them bad', '2 probes are well', 'bad at 03:04:05: 1 of 2 probes are not well', 'decided on at 03:04:05 because of health. It failed rollback: no'])
      expect(text).toContain(part); // prettier-ignore
    expect(text).not.toContain('<script');
    expect(page()).not.toContain('Watch after the cutover');
  });

  test('says why a rehearsal failed', () => {
    const failed = reportPage(concludeRehearsal(outcome({ agent: undefined })));
    expect(failed).toContain('the host program gave no evidence');
    expect(failed).toContain('<span class="verdict block">failed</span>');
  });
});

describe('the chart of the pause', () => {
  const steps = [
    { step: 'fence', startMs: 0, ms: 100 },
    { step: 'drain', startMs: 100, ms: 300 },
    { step: 'open', startMs: 399, ms: 0.1 },
  ];
  const bars = [
    ...pauseChart(steps, 400).text.matchAll(/<rect class="bar" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"/g),
  ].map(([, x, width]) => [Number(x), Number(width)] as const);

  test('has a bar for each step, as long as the step and where it was', () => {
    const [fence, drain] = bars as [readonly [number, number], readonly [number, number]];
    expect(bars).toHaveLength(3);
    expect(drain[1] / fence[1]).toBeCloseTo(3, 1);
    expect(drain[0]).toBeCloseTo(fence[0] + fence[1], 0);
  });

  test('shows also a step that took no time', () => {
    expect(bars[2]?.[1]).toBeGreaterThanOrEqual(2);
  });
});
