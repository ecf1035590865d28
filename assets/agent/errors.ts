/** A mistake in what the program was told: exit status 2, one line, no stack trace. */
export class UsageError extends Error {
  readonly exitStatus: number = 2;
}

/** Work that could not be done: exit status 1, one line that names the thing, the cause and the way on. */
export class Failure extends Error {
  readonly exitStatus: number = 1;
}

/** What went wrong, in one line, for a status line or a log. */
export function oneLine(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error);
  return text.replace(/\s*\n\s*/g, ' ').trim();
}
