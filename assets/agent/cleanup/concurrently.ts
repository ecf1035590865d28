import { oneLine } from '../errors';

/** Whether a server refuses a session since another one has changed the same object of its catalogs at the same time. */
export const isConcurrentChange = (error: unknown): boolean =>
  /tuple concurrently (updated|deleted)/.test(oneLine(error));
