/** What was measured of one way: a value for each round. */
export interface Series {
  readonly way: string;
  readonly values: readonly number[];
}

/** The middle value; the mean of both middle ones of an even number. NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const [low = Number.NaN, high = Number.NaN] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]];
  return (low + high) / 2;
}

/** Smallest and largest value. */
export const spread = (values: readonly number[]): { readonly least: number; readonly most: number } => ({
  least: Math.min(...values),
  most: Math.max(...values),
});

/** The value below which a share of all values lies, by the nearest rank. @param share between 0 and 1 */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

/** The values of one way; none when it was not measured. */
export const valuesOf = (series: readonly Series[], way: string): readonly number[] =>
  series.find((each) => each.way === way)?.values ?? [];

/** One number that stands for many rounds. */
export interface Figure {
  /** Of the medians. */
  readonly value: number;
  /** What each round alone would give; tells the spread. */
  readonly rounds: readonly number[];
}

/** The median of what was measured. Undefined of nothing. */
export const medianFigure = (values: readonly number[]): Figure | undefined =>
  values.length === 0 ? undefined : { value: median(values), rounds: values };

/** The largest of what was measured, where one bad round is what counts. Undefined of nothing. */
export const largestFigure = (values: readonly number[]): Figure | undefined =>
  values.length === 0 ? undefined : { value: Math.max(...values), rounds: values };

/** What a formula makes of the medians of several ways, and of each round. Undefined when one of them was not measured. */
export function figureOf(
  ways: readonly (readonly number[])[],
  formula: (...values: readonly number[]) => number,
): Figure | undefined {
  const rounds = Math.min(...ways.map((values) => values.length));
  const value = formula(...ways.map(median));
  if (!(rounds > 0) || !Number.isFinite(value)) return undefined;
  const round = (index: number): number => formula(...ways.map((values) => values[index] ?? Number.NaN));
  return { value, rounds: Array.from({ length: rounds }, (_, index) => round(index)) };
}

/** Median of one way's values divided by that of another's. Undefined when either was not measured. */
export const ratio = (series: readonly Series[], dividend: string, divisor: string): Figure | undefined =>
  figureOf([valuesOf(series, dividend), valuesOf(series, divisor)], (a = Number.NaN, b = Number.NaN) => a / b);
