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

/** How often the group is asked whether it shows what was registered, before old targets are taken out. */
const LOOKS = 6;

/**
 * Makes the group hold exactly these addresses: new ones first, and old ones out only when the group shows the new ones,
 * so that it is never empty and a failure on the way leaves more targets, not none. Throws when there is no address to
 * hold, or when the group does not show them in time; the next run then goes on.
 *
 * @param pause between two looks at the group
 */
export async function syncTargets(
  addresses: readonly string[],
  group: TargetGroup,
  pause: () => Promise<void>,
): Promise<Change> {
  if (addresses.length === 0) throw new Error('there is no address; the target group stays as it is');
  const present = await group.registered();
  const registered = addresses.filter((address) => !present.includes(address));
  const deregistered = present.filter((address) => !addresses.includes(address));
  if (registered.length + deregistered.length === 0) return { registered, deregistered };
  // All of them: the answer may be of some seconds ago, and show one that an earlier run has taken out since.
  await group.register(addresses);
  if (deregistered.length === 0) return { registered, deregistered };
  for (let look = 1; !(await holds(group, addresses)); look += 1) {
    if (look === LOOKS) {
      throw new Error(
        `registered ${addresses.join(', ')}, which the target group does not show yet; ${deregistered.join(', ')} stays until it does`,
      );
    }
    await pause();
  }
  await group.deregister(deregistered);
  // Another run at the same time may have had an older answer of the name service, and taken these out.
  await group.register(addresses);
  return { registered, deregistered };
}

async function holds(group: TargetGroup, addresses: readonly string[]): Promise<boolean> {
  const present = await group.registered();
  return addresses.every((address) => present.includes(address));
}
