import { DEBIAN_PACKAGES, ensurePackages, type PackageSystem } from '../../../lib/rehearsal/lab/packages';

function machine(overrides: Partial<PackageSystem> = {}) {
  const events: string[] = [];
  const system: PackageSystem = {
    installed: () => ['postgresql-15', 'postgresql-client-15'],
    system: () => ({ id: 'debian', version: '12' }),
    isRoot: () => true,
    aptGet: (args) => events.push(`apt-get ${args.join(' ')}`),
    ...overrides,
  };
  const guard = (install: () => void): void => {
    events.push('no default cluster');
    install();
    events.push('default cluster as before');
  };
  const ensure = (): void => ensurePackages((line) => events.push(line), system, guard);
  return { events, ensure };
}

describe('packages of Debian', () => {
  it('are left alone when all are there', () => {
    const { events, ensure } = machine({ installed: (names) => [...names], isRoot: () => false });
    ensure();
    expect(events).toEqual([]);
    expect(DEBIAN_PACKAGES).toContain('bucardo');
  });

  it('are installed as far as they are missing, said before, without a server on port 5432', () => {
    const { events, ensure } = machine();
    ensure();
    expect(events).toEqual([
      'installing from Debian: bucardo, postgresql-plperl-15 (and what they depend on)',
      'no default cluster',
      'apt-get update -q',
      'apt-get install -y -q --no-install-recommends bucardo postgresql-plperl-15',
      'default cluster as before',
    ]);
  });

  it('are asked for in one line where only root may install them', () => {
    const { events, ensure } = machine({ isRoot: () => false });
    expect(ensure).toThrow(
      'missing bucardo, postgresql-plperl-15; as root, run: apt-get install --no-install-recommends bucardo postgresql-plperl-15',
    );
    expect(events).toEqual([]);
  });

  it('are not looked for on another system, which is named', () => {
    expect(machine({ system: () => ({ id: 'ubuntu', version: '24.04' }) }).ensure).toThrow(
      /this is ubuntu 24\.04; run it on Debian 12$/,
    );
    expect(machine({ system: () => ({ id: '', version: '' }) }).ensure).toThrow(/this is an unknown system/);
  });

  it('name the cause when apt-get fails', () => {
    const aptGet = (): void => {
      throw Object.assign(new Error('Command failed: apt-get\nmore'), {
        stderr: 'W: odd\nE: Unable to locate package bucardo\n',
      });
    };
    expect(machine({ aptGet }).ensure).toThrow(
      /^apt-get could not install bucardo, postgresql-plperl-15: E: Unable to locate package bucardo; run: apt-get install/,
    );
  });
});
