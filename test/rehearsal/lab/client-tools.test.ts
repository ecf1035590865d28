import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { clientTools, type FetchDebian13 } from '../../../lib/rehearsal/lab/client-tools';
import { DEBIAN_POSTGRES } from '../../../lib/rehearsal/lab/packages';

describe('client tools', () => {
  let cache: string;
  beforeEach(() => (cache = mkdtempSync(join(tmpdir(), 'ibex-test-'))));
  afterEach(() => rmSync(cache, { recursive: true }));

  /** A root whose loader prints what it is called with. */
  const fetched: FetchDebian13 = async (root) => {
    const libraries = join(root, 'usr/lib/x86_64-linux-gnu');
    mkdirSync(libraries, { recursive: true });
    writeFileSync(join(libraries, 'ld-linux-x86-64.so.2'), '#!/bin/sh\nprintf "%s\\n" "$@"\n');
    chmodSync(join(libraries, 'ld-linux-x86-64.so.2'), 0o755);
  };

  it('are those of Debian 12 for sources up to 15', async () => {
    expect(await clientTools(15, () => {}, cache)).toBe(DEBIAN_POSTGRES);
  });

  it('are those of Debian 13 for later ones, fetched once, said before, started with their own libraries', async () => {
    const events: string[] = [];
    const fetch: FetchDebian13 = (root) => {
      events.push('fetched');
      return fetched(root);
    };
    await clientTools(16, () => events.push('said'), cache, fetch);
    const tools = await clientTools(17, () => events.push('said'), cache, fetch);
    expect(events).toEqual(['said', 'fetched']);
    const root = join(cache, 'client-tools-17', 'root');
    expect(execFileSync(join(tools, 'pg_dump'), ['--file', 'a b'], { encoding: 'utf8' }).trimEnd().split('\n')).toEqual(
      [
        '--library-path',
        join(root, 'usr/lib/x86_64-linux-gnu'),
        join(root, 'usr/lib/postgresql/17/bin/pg_dump'),
        '--file',
        'a b',
      ],
    );
  });

  it('say why they cannot be had, and leave nothing half done', async () => {
    const refused: FetchDebian13 = () =>
      Promise.reject(Object.assign(new Error('Command failed'), { stderr: 'E: Failed to fetch\n' }));
    await expect(clientTools(17, () => {}, cache, refused)).rejects.toThrow(
      /cannot be fetched: E: Failed to fetch; mend apt/,
    );
    await clientTools(17, () => {}, cache, fetched);
  });
});
