import type { AgentConfig } from '../config';
import { Context } from '../context';
import { Failure, UsageError } from '../errors';

/** What the operator has to say, word for word. */
export const GONE_WORDS = 'the source is gone for good';

/** The state's fact that an operator has said so; its absence, or null, means that it has to be cleaned. */
const GONE_FACT = 'cleanup.gone';

/** What was said, and when. */
export interface Gone {
  readonly accepted: string;
  /** ISO 8601, on the host's clock. */
  readonly at: string;
}

/**
 * Records that the source will not come back, so that cleanup ends without it: an explicit step, since capture and fence
 * stay on a source that does come back. Throws UsageError without the words, and Failure while the source still answers.
 */
export async function acknowledgeGone(config: AgentConfig, words: string | undefined): Promise<string> {
  if (words !== GONE_WORDS) throw new UsageError(`gone needs --accept "${GONE_WORDS}"`);
  const context = await Context.create(config, 'gone');
  try {
    if (await answers(context)) throw new Failure('the source answers, so it can be cleaned; start cleanup');
    const gone: Gone = { accepted: words, at: new Date().toISOString() };
    await context.state.setFact(GONE_FACT, gone);
    await context.evidence('the source is gone', true, 'acknowledgeGone', gone);
    return 'the source is taken for gone; start cleanup, which leaves it as it is';
  } finally {
    await context.close();
  }
}

async function answers(context: Context): Promise<boolean> {
  try {
    await context.connect('source', context.phase, true);
    return true;
  } catch {
    return false;
  }
}

/** What an operator has said about the source; undefined when nothing. */
export const goneSource = async (context: Context): Promise<Gone | undefined> =>
  (await context.state.fact<Gone | null>(GONE_FACT)) ?? undefined;
