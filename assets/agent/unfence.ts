import type { AgentConfig } from './config';
import { Context } from './context';
import { Failure, UsageError } from './errors';
import { openForGood } from './fence/turn';
import { removeFence } from './fence/triggers';
import { standingOrUnknown } from './fence/standing';

/** What the operator has to say, word for word. */
export const UNFENCE_WORDS = 'what is written to the old source is lost to the target';

/**
 * Takes the fence off a source that was left, so that it takes writes again; nothing carries them anywhere. An explicit
 * step after cleanup, for an old server that goes on with something else. Throws UsageError without the words.
 */
export async function unfence(config: AgentConfig, words: string | undefined): Promise<string> {
  if (words !== UNFENCE_WORDS) throw new UsageError(`unfence needs --accept "${UNFENCE_WORDS}"`);
  const context = await Context.create(config, 'unfence');
  try {
    const standing = await standingOrUnknown(context);
    const source = await context.connect('source');
    if (standing.kind === 'passing') throw new Failure('writes are being moved; start cutover or rollback again first');
    if (!(await openForGood(source))) {
      throw new Failure('the source waits for a rollback, or was never left; start finalize or cleanup first');
    }
    const left = await removeFence(source);
    await context.evidence('source unfenced', left.length === 0, 'removeFence', { accepted: words, left });
    if (left.length > 0) {
      throw new Failure(
        `the source takes writes; triggers that let them through are still on ${left.join(', ')}; start again`,
      );
    }
    await source.query('DROP SCHEMA IF EXISTS ibex CASCADE');
    return 'the source takes writes again';
  } finally {
    await context.close();
  }
}
