import type { BrakeConfig } from '../../assets/agent/config';

/** A brake without any limit. */
export const NO_BRAKE: BrakeConfig = {
  slowSessions: 0,
  pauseSessions: 0,
  lockWaitMs: 0,
  queueMegabytes: 0,
  queueGrowthMegabytes: 0,
  hostFreeMegabytes: 0,
};
