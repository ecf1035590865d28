import type { FenceState } from '../../../assets/agent/fence/objects';
import { standingOf } from '../../../assets/agent/fence/standing';

const STATES: readonly (FenceState | undefined)[] = [
  undefined,
  { kind: 'open' },
  { kind: 'until', deadline: '2030-01-01' },
  { kind: 'final' },
  { kind: 'closed' },
];

const nameOf = (state: FenceState | undefined): string => state?.kind ?? 'none';

const said = (source: FenceState | undefined, target: FenceState | undefined): string => {
  const standing = standingOf(source, target);
  if (standing.kind === 'unknown') return 'unknown';
  if (standing.kind === 'passing') return `${standing.direction} only`;
  return standing.begun ? standing.end : `${standing.end}, not begun`;
};

/** What each pair says, a row for each state of the source and a column for each of the target, in the order of STATES. */
const TABLE: readonly (readonly string[])[] = [
  ['source, not begun', 'unknown', 'unknown', 'source', 'source'],
  ['source, not begun', 'unknown', 'unknown', 'source', 'source'],
  ['source, not begun', 'unknown', 'unknown', 'source', 'source'],
  ['target', 'target', 'target', 'unknown', 'forward only'],
  ['target', 'target', 'target', 'back only', 'unknown'],
];

describe('who takes the writes is told by both fences alone', () => {
  const pairs = STATES.flatMap((source, row) =>
    STATES.map((target, column) => [nameOf(source), nameOf(target), source, target, TABLE[row]?.[column]] as const),
  );

  test.each(pairs)('source %s, target %s', (_here, _there, source, target, meaning) => {
    expect(said(source, target)).toBe(meaning);
  });

  /** Each step that a run takes on one end, in the order of a cutover and a rollback; a kill leaves the pair before or after it. */
  const JOURNEY: readonly (readonly ['source' | 'target', FenceState])[] = [
    ['target', { kind: 'closed' }],
    ['source', { kind: 'until', deadline: '2030-01-01' }],
    ['source', { kind: 'open' }],
    ['source', { kind: 'until', deadline: '2030-01-01' }],
    ['source', { kind: 'final' }],
    ['target', { kind: 'open' }],
    ['source', { kind: 'closed' }],
    ['target', { kind: 'until', deadline: '2030-01-01' }],
    ['target', { kind: 'final' }],
    ['source', { kind: 'open' }],
    ['target', { kind: 'closed' }],
  ];

  test('there and back, no pair on the way is unknown, none has both ends open, and who serves changes twice', () => {
    const fences: { source?: FenceState; target?: FenceState } = {};
    const way: string[] = [];
    for (const [end, state] of JOURNEY) {
      fences[end] = state;
      const open = [fences.source, fences.target].filter((one) => one === undefined || one.kind === 'open');
      expect(open.length).toBeLessThan(2);
      way.push(said(fences.source, fences.target));
    }
    expect(way.filter((one, index) => one !== way[index - 1])).toEqual([
      'source',
      'forward only',
      'target',
      'back only',
      'source',
    ]);
  });
});
