import type { Context } from '../context';
import { Failure } from '../errors';
import type { LastProof } from '../verify/dirty/last-keys';
import type { PauseInput } from './pause';

/** Fact of what the pause has proven of the rows. */
export const PROOF_FACT = 'cutover.proof';

/** Differing keys that one message names. */
const NAMED = 5;

/**
 * Proves that every row is equal, in the pause: what was applied since it was compared last is compared now, and the rest
 * was found equal since it changed last. Throws Failure for a row that differs, and gives the writes back so; and for a
 * cutover of which too little is known. A rollback may be urgent: there the comparison on held snapshots has to do. What it
 * leaves behind, as acknowledged, is not known to be equal any more.
 */
export async function proveRows({
  context,
  relations,
  lastKeys,
  timeline,
}: PauseInput): Promise<LastProof | undefined> {
  if (lastKeys === undefined) return undefined;
  // Behind the fence, and before the point of no return: no write comes after it, and whoever goes forward has it done.
  await lastKeys.leaveBehind(context.config.leftOut ?? []);
  const proof = await lastKeys.compare(relations, () => timeline.left());
  await context.state.setFact(PROOF_FACT, proof);
  const unknown = context.direction === 'forward' ? proof.unverified : [];
  if (proof.different === 0 && unknown.length === 0) return proof;
  await evidence(context, proof);
  if (proof.different > 0) throw different(context, proof);
  throw new Failure(
    `these have never been found equal as a whole, or were copied anew since: ${unknown.join(', ')}; start verify, then ${context.phase} again`,
  );
}

function different({ direction, phase }: Context, { differences, different }: LastProof): Failure {
  const named = differences.slice(0, NAMED).map(({ relation, key, kind }) => `${relation} (${key.join(', ')}) ${kind}`);
  const rest = different - named.length;
  const wayOn =
    direction === 'forward'
      ? `start verify with --repair (in the runbook: Repair true), then ${phase} again`
      : `have the end that serves write these rows anew (UPDATE … SET a column to itself), then start ${phase} again`;
  return new Failure(
    `${different} rows differ although everything is applied: ${named.join('; ')}${rest > 0 ? ` and ${rest} more` : ''}; ${wayOn}`,
  );
}

/** Writes the proof of this move to the evidence, once the other end is open. Returns it; undefined when there is none. */
export async function keepProof(context: Context): Promise<LastProof | undefined> {
  const proof = (await context.state.fact<LastProof | null>(PROOF_FACT)) ?? undefined;
  if (proof !== undefined) await evidence(context, proof);
  return proof;
}

const evidence = (context: Context, proof: LastProof): Promise<void> =>
  context.evidence(
    'every row known to be equal in the pause',
    proof.different === 0 && proof.unverified.length === 0,
    'LastKeys.compare: ibex.dirty_key and ibex.verified of the host, hashes of both ends',
    proof,
  );

/** The proof in a few words, for the message of the phase. */
export function describeProof(proof: LastProof | undefined): string {
  if (proof === undefined) return '';
  const count = (value: number): string => value.toLocaleString('en-US');
  const whole = proof.whole.reduce((sum, { rows }) => sum + rows, 0);
  const parts = [
    `${count(proof.keys)} keys`,
    ...(proof.whole.length > 0 ? [`${count(whole)} rows of ${proof.whole.length} relations`] : []),
  ];
  const unknown = proof.unverified.length > 0 ? `, NOT known: ${proof.unverified.join(', ')}` : '';
  return `, ${parts.join(' and ')} compared in it${unknown}`;
}
