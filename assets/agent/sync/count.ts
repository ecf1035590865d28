import type { AgentConfig } from '../config';

/** How many syncs the settings ask for: one for each group, and those that share the rest. */
export const syncCount = ({ sync }: Pick<AgentConfig, 'sync'>): number => sync.groups.length + sync.syncs;
