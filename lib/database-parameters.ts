/** One value of the cluster's parameter group, with what it is for. */
export interface DatabaseParameter {
  readonly name: string;
  readonly value: string;
  readonly reason: string;
}

/**
 * What differs from Aurora's defaults. Aurora has no max_wal_size, checkpoint_* or fsync; session_replication_role
 * must never stand here, since it would switch off triggers and foreign keys for the applications too.
 */
export const DATABASE_PARAMETERS: readonly DatabaseParameter[] = [
  {
    name: 'rds.force_ssl',
    value: '1',
    reason: 'No password and no row crosses the network in clear; 15 and 16 would allow it.',
  },
  { name: 'synchronous_commit', value: 'on', reason: 'What the target has committed is forgotten on the source.' },
  {
    name: 'tcp_keepalives_idle',
    value: '30',
    reason: 'Keeps a silent connection known to the load balancer and to NAT (350 s).',
  },
  {
    name: 'tcp_keepalives_interval',
    value: '10',
    reason: 'With the count: a dead client frees its locks within a minute.',
  },
  { name: 'tcp_keepalives_count', value: '3', reason: 'See tcp_keepalives_interval.' },
  {
    name: 'log_lock_waits',
    value: '1',
    reason: 'Says who waited for whom when cutover or the first hours after it are slow.',
  },
];
