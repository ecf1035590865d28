import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dump as dumpPhase, dumpRows } from '../../../assets/agent/dump';
import type { PhaseOutcome } from '../../../assets/agent/phase';
import { restoreRows } from '../../../assets/agent/restore';
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

const dump = (clientTools = '/usr/bin'): Promise<PhaseOutcome> =>
  copy.within(
    'dump',
    (context) => dumpRows(context, { checkCapture: () => Promise.resolve([]), freeBytes: () => Promise.resolve(1e12) }),
    { host: { ...copy.migration.config.host, clientTools } },
  );

const restore = (): Promise<PhaseOutcome> => copy.within('restore', restoreRows);

/** A pg_dump that fails as WORDS say unless the table is left out. */
function failingTools(words = WORDS): string {
  const failing = `case "$*" in *--exclude-table-data='"Shop"."Huge"'*) ;; *--file=*) mkdir "\${5#--file=}"; printf '%s\\n' '${words}' >&2; exit 1;; esac`;
  writeFileSync(join(tools, 'pg_dump'), `#!/bin/sh\n${failing}\nexec /usr/bin/pg_dump "$@"\n`, { mode: 0o755 });
  return tools;
}

const dumps = (): string[] =>
  readdirSync(copy.migration.config.host.stateDirectory).filter((name) => name.startsWith('dump'));

/** Tables whose rows are in the dump that is kept. */
const dumped = (): string[] =>
  execFileSync('/usr/bin/pg_restore', ['-l', join(copy.migration.config.host.stateDirectory, 'dump')], {
    encoding: 'utf8',
  })
    .split('\n')
    .flatMap((line) => / TABLE DATA (\S+ \S+) /.exec(line)?.[1] ?? [])
    .sort();

const holds = async (): Promise<boolean | undefined> =>
  copy.within('dump', async (context) => dumpPhase.holds?.(context));

const WHY =
  /"Huge".* \(its longest row has the key \(7\) and 1004 bytes\); a row of that table is longer than 1 GB as text, .*; make it smaller, or keep that value in parts/;

const after = (start: string, end = ''): RegExp => new RegExp(`^${start}.*${WHY.source}${end}$`);

describe('a row that is longer than 1 GB as text', () => {
  it('keeps its table out of the dump, which names table and key, and holds all else', async () => {
    const { message, result } = await dump(failingTools());
    expect(message).toMatch(after('1 tables dumped, .*; "Shop"."Huge" was left out: '));
    expect(result).toMatchObject({ tables: 1, leftOut: ['"Shop"."Huge"'] });
    expect(dumped()).toEqual(['public Huge']);
  });

  it('keeps restore from none of the others, and is named by it with the way on', async () => {
    await expect(restore()).rejects.toThrow(
      after(
        'rows of "Shop"."Huge" are not in the dump: ',
        '; then start dump and restore again, what is restored is kept',
      ),
    );
    expect((await copy.target.query('SELECT id FROM "Huge"')).rows).toEqual([{ id: 8 }]);
  });

  it('has dump look once more, which takes nothing twice that is restored', async () => {
    expect(await holds()).toBe(false);
    expect((await dump(failingTools())).message).toMatch(/^0 tables dumped, /);
    expect(dumped()).toEqual([]);
    await expect(restore()).rejects.toThrow(/^rows of "Shop"."Huge" are not in the dump: /);
  });

  it('is brought once it is shorter', async () => {
    expect((await dump()).message).toMatch(/^1 tables dumped, [^;]*$/);
    expect(dumped()).toEqual(['Shop Huge']);
    expect(await holds()).toBe(true);
    expect((await restore()).result).toMatchObject({ rows: 4, rowsThisTime: 3 });
  });

  it('fails the dump, and leaves nothing of it, where pg_dump does not say of which table it is', async () => {
    await copy.target.query('UPDATE ibex.relation SET copied_at = NULL');
    rmSync(join(copy.migration.config.host.stateDirectory, 'dump'), { recursive: true });
    const nameless = WORDS.replaceAll(/.*(Huge).*\n/g, '');
    await expect(
      dump(failingTools(`pg_dump: error: invalid memory alloc request size 1\n${nameless}`)),
    ).rejects.toThrow(
      /^pg_dump failed: .*; a row of that table is longer than 1 GB as text, .*, then start dump again$/,
    );
    expect(dumps()).toEqual([]);
  });
});

describe('a row in a damaged file', () => {
  it('keeps its table out of the dump as well, by name', async () => {
    await copy.target.query('UPDATE ibex.relation SET copied_at = NULL');
    const damaged = WORDS.replace(/invalid memory.*/, 'missing chunk number 0 for toast value 16390 in pg_toast_16384');
    expect((await dump(failingTools(damaged))).message).toMatch(
      /^1 tables dumped, .*; "Shop"."Huge" was left out: .*missing chunk number 0 .*; the files of that table are damaged there; bring back what cannot be read from a backup, or delete it$/,
    );
    expect(dumped()).toEqual(['public Huge']);
  });
});
