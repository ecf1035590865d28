import { median, percentile, spread } from '../statistics';

/** How clients are moved: they wait in a pooler, or are refused by the fence and come back at another address. */
export type Way = 'pooler' | 'fence';

/** One move of writes. */
export interface Move {
  readonly runbook: 'cutover' | 'rollback';
  /** The longest time without any acknowledged write, as the writers saw it; milliseconds. */
  readonly pauseMs: number;
  /** The pause as the host program measured it; milliseconds. */
  readonly hostMs: number;
  readonly steps: readonly { readonly step: string; readonly ms: number }[];
}

/** What was measured of one way. */
export interface WayResult {
  readonly way: Way;
  readonly moves: readonly Move[];
  readonly clientErrors: number;
  readonly clientErrorsBy: Readonly<Record<string, number>>;
  readonly acknowledgedWrites: number;
  readonly lostWrites: number;
  /** Of the first move and of the last one, whose ends were compared as they stood in the pause. */
  readonly rowsCompared: number;
  readonly rowsDifferent: number;
  /** Size of the database; bytes. */
  readonly bytes: number;
}

/** What is written for machines. What was not measured is absent. */
export interface CutoverFigures {
  /** 95th percentile of the pause as the writers saw it, behind the pooler; milliseconds. */
  readonly pausePoolerP95Ms?: number;
  /** The same without pooler. */
  readonly pauseFenceP95Ms?: number;
  /** Errors that clients behind the pooler saw. */
  readonly clientErrors?: number;
  /** The 95th percentile of the pause of a small database, without pooler; milliseconds. */
  readonly pauseSmallP95Ms?: number;
  /** The same of a large one. */
  readonly pauseLargeP95Ms?: number;
  /** Size of the small database; gigabytes. */
  readonly smallGigabytes?: number;
  /** Size of the large one. */
  readonly largeGigabytes?: number;
  /** Acknowledged writes that the last database has not, of all ways. */
  readonly lostWrites: number;
}

/** The same moves of two databases of one kind. */
export interface Growth {
  readonly small: WayResult;
  readonly large: WayResult;
}

/** Errors that a client without pooler has to expect: refused by the fence, or its connection ended by the move. */
const EXPECTED = ['25006', '57P01', 'ECONNRESET', 'ECONNREFUSED', 'EPIPE', 'connection lost'];

/** Goals of the pause's 95th percentile; milliseconds. */
const GOAL_MS: Readonly<Record<Way, number>> = { pooler: 2_000, fence: 4_000 };

/** The large database's median pause is allowed to be this many times the small one's, and so many milliseconds above. */
const GROWTH_FACTOR = 1.5;
const GROWTH_MS = 250;

const p95 = (result: WayResult): number =>
  Math.round(
    percentile(
      result.moves.map(({ pauseMs }) => pauseMs),
      0.95,
    ),
  );

const gigabytes = ({ bytes }: WayResult): number => Math.round(bytes / 1e7) / 100;

/** The figures of all that was measured. */
export function figuresOf(results: readonly WayResult[], growth?: Growth): CutoverFigures {
  const of = (way: Way): WayResult | undefined => results.find((result) => result.way === way);
  const [pooler, fence] = [of('pooler'), of('fence')];
  return {
    ...(pooler && { pausePoolerP95Ms: p95(pooler) }),
    ...(fence && { pauseFenceP95Ms: p95(fence) }),
    ...(pooler && { clientErrors: pooler.clientErrors }),
    ...(growth && {
      pauseSmallP95Ms: p95(growth.small),
      pauseLargeP95Ms: p95(growth.large),
      smallGigabytes: gigabytes(growth.small),
      largeGigabytes: gigabytes(growth.large),
    }),
    lostWrites: [...results, ...(growth ? [growth.small, growth.large] : [])].reduce(
      (sum, { lostWrites }) => sum + lostWrites,
      0,
    ),
  };
}

/** Goals that a way missed, one line each. */
export function missed(result: WayResult): string[] {
  const { way, clientErrors, clientErrorsBy, lostWrites, rowsCompared, rowsDifferent } = result;
  const lines: string[] = [];
  if (lostWrites > 0) lines.push(`${way}: ${lostWrites} acknowledged writes are lost`);
  if (rowsDifferent > 0) lines.push(`${way}: ${rowsDifferent} rows differ`);
  if (rowsCompared === 0) lines.push(`${way}: no row was compared`);
  if (p95(result) > GOAL_MS[way]) {
    lines.push(`${way}: the pause's 95th percentile of ${p95(result)} ms is above ${GOAL_MS[way]} ms`);
  }
  if (way === 'pooler' && clientErrors > 0) lines.push(`pooler: clients saw ${errors(clientErrorsBy)}`);
  const others = Object.entries(clientErrorsBy).filter(([kind]) => !EXPECTED.includes(kind));
  if (way === 'fence' && others.length > 0) {
    lines.push(
      `fence: clients saw other errors than a refused write or an ended connection: ${errors(Object.fromEntries(others))}`,
    );
  }
  return lines;
}

/** Goals that two databases of different size missed, one line each. */
export function missedByGrowth({ small, large }: Growth): string[] {
  const [before, after] = [small, large].map(({ moves }) => Math.round(median(moves.map(({ pauseMs }) => pauseMs))));
  const grown = (after ?? Infinity) > (before ?? 0) * GROWTH_FACTOR + GROWTH_MS;
  return [
    ...missed(small),
    ...missed(large),
    ...(grown
      ? [
          `growth: the median pause of ${before} ms at ${gigabytes(small)} GB grows to ${after} ms at ${gigabytes(large)} GB`,
        ]
      : []),
  ];
}

const errors = (by: Readonly<Record<string, number>>): string =>
  Object.entries(by)
    .map(([kind, count]) => `${count} × ${kind}`)
    .join(', ') || 'no error';

/** What a person wants to know of one way. */
export function describe(result: WayResult): string[] {
  const { way, moves, acknowledgedWrites, lostWrites, rowsCompared, rowsDifferent } = result;
  const statistic = (values: readonly number[]): string => {
    const { least, most } = spread(values);
    const [middle, high] = [median(values), percentile(values, 0.95)].map(Math.round);
    return `median ${middle} ms, p95 ${high} ms, ${Math.round(least)} to ${Math.round(most)} ms`;
  };
  const names = [...new Set(moves.flatMap(({ steps }) => steps.map(({ step }) => step)))];
  const width = Math.max(...names.map((name) => name.length));
  const ofStep = (name: string): number[] =>
    moves.flatMap(({ steps }) => steps.filter(({ step }) => step === name).map(({ ms }) => ms));
  const both = (['cutover', 'rollback'] as const).flatMap((runbook) => {
    const some = moves.filter((move) => move.runbook === runbook);
    return some.length === 0 ? [] : [`  ${some.length} × ${runbook}: ${statistic(some.map(({ pauseMs }) => pauseMs))}`];
  });
  return [
    `${way}: ${moves.length} moves of ${gigabytes(result)} GB; pause as the writers saw it: ${statistic(moves.map(({ pauseMs }) => pauseMs))}`,
    ...both,
    `  as the host saw it: ${statistic(moves.map(({ hostMs }) => hostMs))}`,
    ...names.map((name) => `    ${name.padEnd(width)}  ${statistic(ofStep(name))}`),
    `  clients saw ${errors(result.clientErrorsBy)}; ${acknowledgedWrites} acknowledged writes, ${lostWrites} lost; ${rowsCompared} rows compared, ${rowsDifferent} different`,
  ];
}
