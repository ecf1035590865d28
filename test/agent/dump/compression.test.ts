import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AgentConfig } from '../../../assets/agent/config';
import { dumpRows } from '../../../assets/agent/dump';
import { compressOption, requireCompression, type Compression } from '../../../assets/agent/dump/compression';
import { restoreRows } from '../../../assets/agent/restore';
import { clientTools } from '../../../lib/rehearsal/lab/client-tools';
import { DEBIAN_POSTGRES } from '../../../lib/rehearsal/lab/packages';
import { CopyTest } from '../../helpers/copy-test';

const FILL = `
  CREATE TABLE item (id int PRIMARY KEY, v text);
  INSERT INTO item SELECT i, md5((i / 100)::text) FROM generate_series(1, 20000) i; ANALYZE`;
const CONTENTS = `SELECT count(*)::int AS n, md5(string_agg(id || v, ',' ORDER BY id)) AS digest FROM item`;

let copy: CopyTest;
let newer: string;
let root: string;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'ibex-tools-'));
  [copy, newer] = await Promise.all([CopyTest.start(), clientTools(17, () => undefined)]);
  await copy.prepare(FILL);
}, 120_000);
afterAll(async () => {
  await copy?.migration.stop();
  rmSync(root, { recursive: true, force: true });
});

const told = (compression: Compression, tools: string): Partial<AgentConfig> => ({
  dump: { jobs: 1, compression },
  host: { ...copy.migration.config.host, clientTools: tools },
});

const directory = (): string => join(copy.migration.config.host.stateDirectory, 'dump');

const take = (compression: Compression, tools: string) =>
  copy.within('dump', (context) => dumpRows(context), told(compression, tools));

it.each<[Compression, () => string, RegExp]>([
  ['none', () => DEBIAN_POSTGRES, /^\d+\.dat$/],
  ['gzip', () => DEBIAN_POSTGRES, /^\d+\.dat\.gz$/],
  ['gzip:9', () => newer, /^\d+\.dat\.gz$/],
  ['lz4', () => newer, /^\d+\.dat\.lz4$/],
  ['zstd:1', () => newer, /^\d+\.dat\.zst$/],
])('a dump with %s is written so, and restored', async (compression, tools, file) => {
  rmSync(directory(), { recursive: true, force: true });
  await copy.target.query(
    'SET session_replication_role = replica; TRUNCATE item; UPDATE ibex.relation SET copied_at = NULL',
  );
  await take(compression, tools());
  expect(readdirSync(directory()).filter((name) => file.test(name))).toHaveLength(1);
  await copy.within('restore', restoreRows, told(compression, tools()));
  expect(await copy.one('target', CONTENTS)).toEqual(await copy.one('source', CONTENTS));
});

it.each<Compression>(['lz4', 'zstd:3'])(
  '%s is refused before anything is begun where the client programs know only gzip',
  async (compression) => {
    rmSync(directory(), { recursive: true, force: true });
    await expect(take(compression, DEBIAN_POSTGRES)).rejects.toThrow(
      /^agent\.dump\.compression "(lz4|zstd:3)" cannot be had: pg_dump .* 15\..* knows only gzip; install client programs of 16 or newer \(host\.clientTools\), or set "gzip:5"$/,
    );
    expect(existsSync(directory())).toBe(false);
  },
);

/** Programs of which one is replaced by a shell script. */
function toolsWith(program: string, script: string): string {
  const tools = mkdtempSync(join(root, 'tools-'));
  for (const name of ['pg_dump', 'pg_restore']) {
    if (name !== program) symlinkSync(join(newer, name), join(tools, name));
  }
  writeFileSync(join(tools, program), `#!/bin/sh\n${script}\n`);
  chmodSync(join(tools, program), 0o755);
  return tools;
}

const refusal = (compression: Compression, tools: string): Promise<void> =>
  requireCompression({ ...copy.migration.config, ...told(compression, tools) });

it('a method that pg_dump was built without is refused with its own words', async () => {
  const tools = toolsWith(
    'pg_dump',
    `case "$*" in --version) exec '${newer}/pg_dump' --version;; esac
     echo 'pg_dump: error: this build does not support compression with LZ4' >&2; exit 1`,
  );
  await expect(refusal('lz4', tools)).rejects.toThrow(
    'this build does not support compression with LZ4; install client programs that are built with lz4, or set "gzip:5"',
  );
  await refusal('gzip:5', tools);
});

it('an older pg_restore beside a newer pg_dump is found out before the dump, not after', async () => {
  const tools = toolsWith('pg_restore', `exec '${DEBIAN_POSTGRES}/pg_restore' "$@"`);
  await expect(refusal('zstd', tools)).rejects.toThrow(/pg_restore .* 15\..* knows only gzip/);
});

it('nothing that the rules of the settings let through is refused by pg_dump itself', () => {
  for (const compression of ['none', 'gzip:1', 'gzip:9', 'lz4:1', 'lz4:12', 'zstd:1', 'zstd:22'] as const) {
    const args = ['--format=custom', '--file=/dev/null', '--host=/dev/null', compressOption(compression)];
    let said = '';
    try {
      execFileSync(join(newer, 'pg_dump'), args, { stdio: 'pipe' });
    } catch (error) {
      said = String((error as { stderr: Buffer }).stderr);
    }
    expect(said).toMatch(/connection to server/);
  }
});
