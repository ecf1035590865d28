import { forwarded, readSequences } from '../cutover/sequences';
import { qualified } from '../sql';
import { block, firstOf, pass, warn, type Gate } from './gate';

/** Whether each sequence can be put ahead on the target, and has room there. */
export const SEQUENCE_GATE: Gate = {
  name: 'sequences',
  query: 'readSequences: pg_sequences of both ends',
  again: true,
  // The old source has its sequences, and a session that holds one there must not hold up the way back.
  forwardOnly: true,
  ask: async ({ context, source, target }) => {
    const { config } = context;
    const name = (one: { schema: string; name: string }): string => qualified(one.schema, one.name);
    const known = new Map((await readSequences(target, config)).map((one) => [name(one), one]));
    const sequences = (await readSequences(source, config)).map((one) => {
      const at = known.get(name(one));
      const value = forwarded(one, config.cutover.sequenceMargin);
      return {
        name: name(one),
        source: one.last,
        target: at?.last,
        willBe: value.toString(),
        used: usedPercent(one),
        at,
      };
    });
    const missing = sequences.filter(({ at }) => at === undefined);
    const narrow = sequences.filter(
      ({ at, willBe }) => at && (BigInt(willBe) > BigInt(at.max) || BigInt(willBe) < BigInt(at.min)),
    );
    const full = sequences.filter((one) => one.used >= config.ready.sequencePercent);
    const result = sequences.map(({ name: sequence, source: last, target: there, willBe, used }) => ({
      sequence,
      last,
      there,
      willBe,
      used,
    }));
    const named = (list: readonly { name: string }[]): string => firstOf(list.map((one) => one.name));
    if (missing.length > 0) return block(`not on the target: ${named(missing)}`, 'make them there', result);
    if (narrow.length > 0)
      return block(
        `beyond the target's bounds: ${named(narrow)}`,
        'ALTER SEQUENCE … AS bigint or MAXVALUE there',
        result,
      );
    if (full.length > 0)
      return warn(
        firstOf(full.map((one) => `${one.name} is ${one.used.toFixed(0)} % used`)),
        'give it a larger type before it ends',
        result,
      );
    return pass(`${sequences.length}, the fullest ${Math.max(0, ...sequences.map((one) => one.used)).toFixed(0)} % used`, result); // prettier-ignore
  },
};

/** How much of its range a sequence has given out; per cent, 0 for one that cycles. */
function usedPercent({ last, min, max, increment, cycle }: Bounds): number {
  if (cycle) return 0;
  const [from, to] = BigInt(increment) > 0n ? [BigInt(min), BigInt(max)] : [BigInt(max), BigInt(min)];
  const range = Number(to - from);
  return range === 0 ? 100 : (Number(BigInt(last) - from) / range) * 100;
}

interface Bounds {
  readonly last: string;
  readonly min: string;
  readonly max: string;
  readonly increment: string;
  readonly cycle: boolean;
}
