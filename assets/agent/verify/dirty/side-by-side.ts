/**
 * Every piece of work, several at a time. When one fails no other is begun, and those under way are waited for: none may go
 * on behind whoever asked for them.
 */
export async function sideBySide<T>(
  most: number,
  pieces: readonly T[],
  work: (piece: T) => Promise<void>,
): Promise<void> {
  const queue = [...pieces];
  const worker = async (): Promise<void> => {
    for (let piece = queue.shift(); piece !== undefined; piece = queue.shift()) {
      await work(piece).catch((error: unknown) => {
        queue.length = 0;
        throw error;
      });
    }
  };
  const outcomes = await Promise.allSettled(Array.from({ length: Math.min(most, queue.length) }, worker));
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed) throw failed.reason;
}
