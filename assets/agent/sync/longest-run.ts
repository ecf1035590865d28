import type { AgentConfig } from '../config';

/** What `sync.longestRunSeconds` is by itself: what takes so long would have been given to catch-up; seconds. */
const LONGEST_RUN_SECONDS = 900;

/** How long one run of a sync may take until it is called hung; seconds. */
export const longestRunOf = ({ sync }: Pick<AgentConfig, 'sync'>): number =>
  sync.longestRunSeconds ?? LONGEST_RUN_SECONDS;
