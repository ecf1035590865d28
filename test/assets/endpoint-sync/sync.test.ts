import { syncTargets, type TargetGroup } from '../../../assets/endpoint-sync/sync';

const pause = async (): Promise<void> => undefined;

/** A group that keeps a log of what was asked of it, and the smallest number of targets it ever had. */
class Group implements TargetGroup {
  readonly log: string[] = [];
  smallest: number;

  constructor(
    public targets: readonly string[],
    private readonly failing?: 'register' | 'deregister',
  ) {
    this.smallest = targets.length;
  }

  async registered(): Promise<readonly string[]> {
    return this.targets;
  }

  async register(addresses: readonly string[]): Promise<void> {
    if (this.failing === 'register') throw new Error('throttled');
    this.log.push(`register ${addresses.join()}`);
    this.targets = [...new Set([...this.targets, ...addresses])];
  }

  async deregister(addresses: readonly string[]): Promise<void> {
    if (this.failing === 'deregister') throw new Error('throttled');
    this.log.push(`deregister ${addresses.join()}`);
    this.targets = this.targets.filter((target) => !addresses.includes(target));
    this.smallest = Math.min(this.smallest, this.targets.length);
  }
}

test('after a failover the new writer is registered before the old one goes', async () => {
  const group = new Group(['10.0.0.1']);
  expect(await syncTargets(['10.0.0.2'], group, pause)).toEqual({
    registered: ['10.0.0.2'],
    deregistered: ['10.0.0.1'],
  });
  expect(group.log).toEqual(['register 10.0.0.2', 'deregister 10.0.0.1', 'register 10.0.0.2']);
  expect(group.smallest).toBe(1);
});

test('the first run fills an empty group', async () => {
  const group = new Group([]);
  await syncTargets(['10.0.0.1'], group, pause);
  expect(group.targets).toEqual(['10.0.0.1']);
});

test('a group that is right already is left alone', async () => {
  const group = new Group(['10.0.0.1']);
  expect(await syncTargets(['10.0.0.1'], group, pause)).toEqual({ registered: [], deregistered: [] });
  expect(group.log).toEqual([]);
});

test('no address is an error, and the group stays as it is', async () => {
  const group = new Group(['10.0.0.1']);
  await expect(syncTargets([], group, pause)).rejects.toThrow('there is no address');
  expect(group.targets).toEqual(['10.0.0.1']);
});

test('when the new writer cannot be registered, the old one stays', async () => {
  const group = new Group(['10.0.0.1'], 'register');
  await expect(syncTargets(['10.0.0.2'], group, pause)).rejects.toThrow('throttled');
  expect(group.targets).toEqual(['10.0.0.1']);
});

test('when the old one cannot be taken out, the next run does it', async () => {
  const group = new Group(['10.0.0.1'], 'deregister');
  await expect(syncTargets(['10.0.0.2'], group, pause)).rejects.toThrow('throttled');
  const next = new Group(group.targets);
  await syncTargets(['10.0.0.2'], next, pause);
  expect(next.targets).toEqual(['10.0.0.2']);
});

test('two runs that know of different writers never leave the group empty', async () => {
  const group = new Group(['10.0.0.1']);
  const late = new Group([]);
  late.registered = () => group.registered();
  late.register = (addresses) => group.register(addresses);
  late.deregister = async (addresses) => {
    // The other run, from its first question to its end, while this one is about to take a target out.
    await syncTargets(['10.0.0.1'], group, pause);
    await group.deregister(addresses);
  };
  await syncTargets(['10.0.0.2'], late, pause);
  expect(group.targets).toEqual(['10.0.0.2']);
});
