/** Whether a table, or its schema, is not there under its name any more: it was dropped or renamed since it was read. */
export const isGone = (error: unknown): boolean => ['42P01', '3F000'].includes((error as { code?: string }).code ?? '');
