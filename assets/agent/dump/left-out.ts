import type { Context } from '../context';
import { Failure } from '../errors';

/** Relations that a dump holds no rows of, by quoted name, and why. */
export type LeftOut = Readonly<Record<string, string>>;

/** Fact, in the state, of what pg_dump could not read and was left out, so that all else could be dumped. */
const LEFT_OUT_FACT = 'dump.leftOut';

/** To be called when pg_dump is done, before anybody may take the dump for complete. */
export const rememberLeftOut = ({ state }: Context, leftOut: LeftOut): Promise<void> =>
  state.setFact(LEFT_OUT_FACT, leftOut);

/** What the dump that is kept was taken without; empty when it holds everything. */
export const leftOutOf = async ({ state }: Context): Promise<LeftOut> =>
  (await state.fact<LeftOut>(LEFT_OUT_FACT)) ?? {};

/** What restore says of a relation that the dump was taken without. */
export const notDumped = (relation: string, why: string): Failure =>
  new Failure(
    `rows of ${relation} are not in the dump: ${why}; then start dump and restore again, what is restored is kept`,
  );
