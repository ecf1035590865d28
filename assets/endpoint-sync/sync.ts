/** The load balancer's side, so that tests can stand in for it. */
export interface TargetGroup {
  /** Addresses that are registered and not on their way out. */
  registered(): Promise<readonly string[]>;
  register(addresses: readonly string[]): Promise<void>;
  deregister(addresses: readonly string[]): Promise<void>;
}

/** What one run changed. */
export interface Change {
  readonly registered: readonly string[];
  readonly deregistered: readonly string[];
}

/**
 * Makes the group hold exactly these addresses: new ones first, and old ones out only afterwards, so that it is never
 * empty and a failure on the way leaves more targets, not none. Throws when there is no address to hold.
 */
export async function syncTargets(addresses: readonly string[], group: TargetGroup): Promise<Change> {
  if (addresses.length === 0) throw new Error('the writer has no address; the target group stays as it is');
  const present = await group.registered();
  const registered = addresses.filter((address) => !present.includes(address));
  const deregistered = present.filter((address) => !addresses.includes(address));
  if (registered.length > 0) await group.register(registered);
  if (deregistered.length > 0) await group.deregister(deregistered);
  return { registered, deregistered };
}
