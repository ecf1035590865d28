import { BackOff } from './back-off';
import { RecopyTries } from './recopy-tries';
import { COMPARE_FACT, PURGE_FACT } from './relation-problems';
import { SickRelations } from './sick-relations';
import { StartTries } from './start-tries';

/** What the supervisor knows of earlier tries. It outlives a failure, after which all but this begins anew. */
export class SupervisorMemory {
  readonly starts = new StartTries();
  readonly recopies = new RecopyTries();
  readonly takeBacks = new BackOff();
  /** Heartbeats on their way by sync, oldest first; microseconds since 1970. */
  readonly beats = new Map<string, bigint[]>();
  /** When each relation may be compared as a whole again, by quoted name; milliseconds of the process's clock. */
  readonly verifyAgain = new Map<string, number>();
  /** When the serving end is due to be looked at by itself; milliseconds of the process's clock. */
  servingLook = 0;
  readonly compare = new SickRelations(COMPARE_FACT, 'cannot be compared');
  readonly purge = new SickRelations(PURGE_FACT, 'cannot forget the changes that were applied');
}
