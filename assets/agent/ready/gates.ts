import { APPROVALS_GATE } from './approvals';
import { AWS_GATES } from './aws-gates';
import { CATALOGS_GATE } from './catalogs-gate';
import type { Gate } from './gate';
import { PLANS_GATE } from './plans-gate';
import { REPLICATION_GATES } from './replication-gates';
import { SEQUENCE_GATE } from './sequence-gate';
import { SOURCE_GATES } from './source-gates';
import { SURROUNDINGS_GATES } from './surroundings-gates';
import { TARGET_GATES } from './target-gates';

/** Every condition of the cutover: `ready` asks all of them, the cutover once more those that are quick. */
export const GATES: readonly Gate[] = [
  ...REPLICATION_GATES,
  ...TARGET_GATES,
  CATALOGS_GATE,
  SEQUENCE_GATE,
  PLANS_GATE,
  ...SOURCE_GATES,
  ...SURROUNDINGS_GATES,
  APPROVALS_GATE,
  ...AWS_GATES,
];
