import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dumpRows } from '../../../assets/agent/dump';
import type { PhaseOutcome } from '../../../assets/agent/phase';
import { CopyTest } from '../../helpers/copy-test';

/** What pg_dump 15 says of a bytea of 540 MB in id 7, as it said it: such a row takes a test half a minute. */
const WORDS = `pg_dump: error: Dumping the contents of table "Huge" failed: PQgetResult() failed.
pg_dump: detail: Error message from server: ERROR:  invalid memory alloc request size 1080000003
pg_dump: detail: Command was: COPY "Shop"."Huge" (id, body) TO stdout;
pg_dump: error: a worker process died unexpectedly`;

let copy: CopyTest;
let tools: string;
beforeAll(async () => {
  tools = mkdtempSync(join(tmpdir(), 'ibex-tools-'));
  copy = await CopyTest.start();
  await copy.prepare(`
    CREATE SCHEMA "Shop";
    CREATE TABLE "Shop"."Huge" (id int PRIMARY KEY, body bytea);
    CREATE TABLE "Huge" (id int PRIMARY KEY, body bytea);
    INSERT INTO "Shop"."Huge" VALUES (1, 'short'), (7, convert_to(repeat('x', 1000), 'UTF8')), (9, NULL);
    INSERT INTO "Huge" VALUES (8, convert_to(repeat('x', 2000), 'UTF8'))`);
});
afterAll(async () => {
  await copy?.migration.stop();
  rmSync(tools, { recursive: true });
});

const dump = (clientTools: string): Promise<PhaseOutcome> =>
  copy.within(
    'dump',
    (context) => dumpRows(context, { checkCapture: () => Promise.resolve([]), freeBytes: () => Promise.resolve(1e12) }),
    { host: { ...copy.migration.config.host, clientTools } },
  );

it('a row that is longer than 1 GB as text is named with table and key, and nothing is left of the dump', async () => {
  const failing = `case "$*" in *--file=*) mkdir "\${5#--file=}"; printf '%s\\n' '${WORDS}' >&2; exit 1;; esac`;
  writeFileSync(join(tools, 'pg_dump'), `#!/bin/sh\n${failing}\nexec /usr/bin/pg_dump "$@"\n`, { mode: 0o755 });
  await expect(dump(tools)).rejects.toThrow(
    /^pg_dump failed: .*"Huge".* \(its longest row has the key \(7\) and 1004 bytes\); a row of that table is longer than 1 GB as text, .*; make it smaller, or keep that value in parts, then start dump again$/,
  );
  expect(readdirSync(copy.migration.config.host.stateDirectory).filter((name) => name.startsWith('dump'))).toEqual([]);
  expect((await dump('/usr/bin')).message).toMatch(/^2 tables dumped/);
});
