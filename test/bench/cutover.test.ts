import {
  describe as inWords,
  figuresOf,
  missed,
  missedByGrowth,
  type Move,
  type WayResult,
} from '../../lib/bench/cutover/figures';
import { main } from '../../lib/bench/cutover/main';
import { recordedConsole } from '../helpers/console';

const move = (pauseMs: number, runbook: Move['runbook'] = 'cutover'): Move => ({
  runbook,
  pauseMs,
  hostMs: pauseMs + 1,
  steps: [{ step: 'drain', ms: pauseMs / 2 }],
});

/** Twenty moves of 100 to 2,000 ms behind a pooler, and all is well. */
const good: WayResult = {
  way: 'pooler',
  moves: Array.from({ length: 20 }, (_, i) => move((i + 1) * 100, i % 2 === 0 ? 'cutover' : 'rollback')),
  clientErrors: 0,
  clientErrorsBy: {},
  acknowledgedWrites: 1_000,
  lostWrites: 0,
  rowsCompared: 10,
  rowsDifferent: 0,
  bytes: 1e8,
};

describe('the figures', () => {
  it('are the 95th percentile of each way, the errors behind the pooler, and what any way lost', () => {
    const fence: WayResult = { ...good, way: 'fence', moves: [move(3_000.4)], clientErrors: 7, lostWrites: 2 };
    expect(figuresOf([good, fence])).toEqual({
      pausePoolerP95Ms: 1_900,
      pauseFenceP95Ms: 3_000,
      clientErrors: 0,
      lostWrites: 2,
    });
  });

  it('leave out what was not measured', () => {
    expect(figuresOf([{ ...good, way: 'fence' }])).toEqual({ pauseFenceP95Ms: 1_900, lostWrites: 0 });
  });

  it('tell of a small and a large database', () => {
    const of = (bytes: number, pauseMs: number): WayResult => ({
      ...good,
      way: 'fence',
      bytes,
      moves: [move(pauseMs)],
    });
    expect(figuresOf([], { small: of(1.23e8, 500), large: { ...of(4.1e9, 700), lostWrites: 1 } })).toEqual({
      pauseSmallP95Ms: 500,
      pauseLargeP95Ms: 700,
      smallGigabytes: 0.12,
      largeGigabytes: 4.1,
      lostWrites: 1,
    });
  });

  it('come with median, percentile and spread, of each direction and step', () => {
    expect(inWords(good).join('\n')).toMatch(
      /median 1050 ms, p95 1900 ms, 100 to 2000 ms[^]*10 × cutover: median 1000 ms[^]*10 × rollback: median 1100 ms[^]*drain  median 525 ms[^]*no error; 1000 acknowledged writes, 0 lost/,
    );
  });
});

describe('goals', () => {
  it('are met by a way that is fast and loses nothing', () => {
    expect(missed(good)).toEqual([]);
  });

  it.each<[string, Partial<WayResult>, string]>([
    ['a lost write', { lostWrites: 1 }, 'pooler: 1 acknowledged writes are lost'],
    ['a row that differs', { rowsDifferent: 3 }, 'pooler: 3 rows differ'],
    ['no row compared', { rowsCompared: 0 }, 'pooler: no row was compared'],
    ['a long pause', { moves: [move(2_001)] }, "pooler: the pause's 95th percentile of 2001 ms is above 2000 ms"],
    ['an error behind the pooler', { clientErrors: 1, clientErrorsBy: { 25006: 1 } }, 'pooler: clients saw 1 × 25006'],
    [
      'another error than the expected ones without pooler',
      { way: 'fence', clientErrors: 7, clientErrorsBy: { 25006: 4, 'connection lost': 2, '40P01': 1 } },
      'fence: clients saw other errors than a refused write or an ended connection: 1 × 40P01',
    ],
  ])('are missed by %s', (_, change, line) => {
    expect(missed({ ...good, ...change })).toEqual([line]);
  });
});

describe('growth', () => {
  const of = (pauses: readonly number[]): WayResult => ({ ...good, way: 'fence', moves: pauses.map((ms) => move(ms)) });

  it('is none when one pause of the large database is long, or all are a little longer', () => {
    expect(missedByGrowth({ small: of([500, 600, 700]), large: of([600, 700, 3_000]) })).toEqual([]);
    expect(missedByGrowth({ small: of([500, 600, 700]), large: of([1_100, 1_140, 1_150]) })).toEqual([]);
  });

  it('is a goal missed when the median grows, and so is what either of them loses', () => {
    const large = { ...of([1_100, 1_160, 1_200]), lostWrites: 1, bytes: 4e9 };
    expect(missedByGrowth({ small: of([500, 600, 700]), large })).toEqual([
      'fence: 1 acknowledged writes are lost',
      'growth: the median pause of 600 ms at 0.1 GB grows to 1160 ms at 4 GB',
    ]);
  });
});

it.each([
  [['--cutovers', '0'], "'--cutovers <n>' argument '0' is invalid. it must be a whole number above 0."],
  [['--only', 'dns'], "argument 'dns' is invalid. Allowed choices are pooler, fence, growth."],
])('%p is refused before anything is started', async (args, message) => {
  const { console, said } = recordedConsole();
  expect(await main(args, console)).toBe(2);
  expect(said()).toContain(message);
});
