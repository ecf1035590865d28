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

/** Median of one way's values divided by that of another's. Undefined when either was not measured. */
export function ratio(series: readonly Series[], dividend: string, divisor: string): number | undefined {
  const of = (way: string): number => median(series.find((each) => each.way === way)?.values ?? []);
  const result = of(dividend) / of(divisor);
  return Number.isFinite(result) ? result : undefined;
}
