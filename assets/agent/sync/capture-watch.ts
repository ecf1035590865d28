import { inspectCaptured } from '../capture/check';
import { mendQueues } from '../capture/mend-queues';
import { watchCatalog } from './catalog-watch';
import type { Watch } from './duty';
import { PROBLEM_FACT } from './facts';

/**
 * Looks whether every change is still known. What is not stands as a problem until the sync is started again, which
 * refuses it; a table that appeared later is told of by the watch of the catalogs.
 */
export async function watchCapture({ context, ends }: Pick<Watch, 'context' | 'ends'>): Promise<void> {
  const { relations, problems } = await inspectCaptured(context, ends);
  if (problems.size > 0) {
    context.log.error({ problems: [...problems.values()] }, 'capture is not complete');
    await context.state.setFact(PROBLEM_FACT, { problems: [...problems.values()] });
  }
  // A key that has changed again since the tables were read is found at the next look.
  const mended = await mendQueues(context, ends.source, relations);
  // A changed key stands as a problem at once.
  if (mended.length > 0) await watchCatalog(context, ends.source);
}
