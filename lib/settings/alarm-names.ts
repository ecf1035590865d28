/** The alarms whose thresholds settings may change, with the unit of each; docs/alarms.md has an article for every one. */
export const ALARM_UNITS = {
  DatabaseCpu: 'percent',
  DatabaseConnections: 'connections',
  DatabaseFreeableMemory: 'bytes',
  DatabaseFreeStorage: 'bytes',
  DatabaseReadLatency: 'seconds',
  DatabaseWriteLatency: 'seconds',
  DatabaseTransactionAge: 'transactions',
  DatabaseDeadlocks: 'deadlocks a second',
  EndpointUnhealthy: 'targets',
  EndpointResets: 'connections in five minutes',
  EndpointSyncErrors: 'failed runs a minute',
  EndpointSyncSilent: 'addresses',
  PoolerUnhealthy: 'targets',
  PoolerStatus: 'failed checks',
  PoolerLogins: 'logins',
  PoolerOtherLogins: 'logins',
  HostStatus: 'failed checks',
  HostDisk: 'percent',
  HostMemory: 'percent',
  HostSilent: 'values a minute',
} as const;

export type AlarmName = keyof typeof ALARM_UNITS;
