import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Rehearsal } from '../../lib/rehearsal/rehearsal';
import { openRehearsal, withSession } from '../helpers/rehearsal';

/** Everything in the catalog that a migration could leave on the source. */
const FINGERPRINT = `
  SELECT md5(string_agg(x, ',' ORDER BY x)) AS fingerprint FROM (
    SELECT format('%s %s %s', n.nspname, c.relname, c.relkind) AS x FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname !~ '^pg_(toast|temp)'
    UNION ALL SELECT format('trigger %s %s', tgrelid::regclass, tgname) FROM pg_trigger
    UNION ALL SELECT format('schema %s %s', nspname, nspacl) FROM pg_namespace WHERE nspname !~ '^pg_'
    UNION ALL SELECT format('role %s', rolname) FROM pg_roles) AS things (x)`;

describe('bad input gets one clear line, and the source is left as found', () => {
  let rehearsal: Rehearsal;
  let found: string;

  beforeAll(async () => {
    rehearsal = await openRehearsal({ rate: 1, connections: 1 });
    found = await fingerprint();
  });

  afterAll(async () => {
    await rehearsal?.close();
  });

  const fingerprint = (): Promise<string> =>
    withSession(rehearsal, 'source', async (source) => {
      const { rows } = await source.query(FINGERPRINT);
      return (rows[0] as { fingerprint: string }).fingerprint;
    });

  const on = (end: 'source' | 'target', statement: string): Promise<unknown> =>
    withSession(rehearsal, end, (client) => client.query(statement));

  /** Runs a phase as a person would at the prompt; the Failure holds what the program wrote to standard error. */
  async function complaint(phase: string): Promise<string> {
    const words = await rehearsal.agent(phase).then(
      (output) => `it succeeded: ${output}`,
      (error: Error) => error.message,
    );
    expect(words.trim().split('\n')).toHaveLength(1);
    expect(words).not.toMatch(/\bat .*\.(c?js|ts):\d+/);
    return words;
  }

  function secret(name: string): { file: string; value: Record<string, unknown> } {
    const file = join(rehearsal.lab.directory, 'host', 'secrets', name);
    return { file, value: JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown> };
  }

  async function withSecret(name: string, change: object, work: () => Promise<void>): Promise<void> {
    const { file, value } = secret(name);
    writeFileSync(file, JSON.stringify({ ...value, ...change }));
    try {
      await work();
    } finally {
      writeFileSync(file, JSON.stringify(value));
    }
  }

  test.each([`hunter2`, `it's "quoted" and spaced`, `@:/=%#\\`])('a wrong password: %s', async (password) => {
    await withSecret('source', { password }, async () => {
      const words = await complaint('assess');
      expect(words).toContain('cannot connect to source 127.0.0.1');
      expect(words).toContain('password');
      expect(words).not.toContain(password);
    });
  });

  test('a server that is not there', async () => {
    await withSecret('target', { port: 1 }, async () => {
      expect(await complaint('assess')).toContain('nothing listens there');
    });
  });

  test('a database that does not exist', async () => {
    await withSecret('source', { dbname: 'nowhere' }, async () => {
      expect(await complaint('assess')).toContain('database "nowhere" does not exist');
    });
  });

  test('a secret that nobody has filled', async () => {
    await withSecret('source', { username: undefined }, async () => {
      expect(await complaint('assess')).toContain('secret source is not filled');
    });
  });

  test('a table without a key is named, and what to do', async () => {
    await on('source', 'CREATE TABLE shop.keyless (note text)');
    try {
      const words = await complaint('assess');
      expect(words).toContain('"shop"."keyless"');
      expect(words).toMatch(/PRIMARY KEY/);
    } finally {
      await on('source', 'DROP TABLE shop.keyless');
    }
  });

  test('a target that is not empty', async () => {
    await on('target', 'CREATE TABLE public.left_over (id int PRIMARY KEY)');
    try {
      expect(await complaint('assess')).toContain('left_over');
    } finally {
      await on('target', 'DROP TABLE public.left_over');
    }
  });

  test('a phase before its time names what it needs', async () => {
    expect(await complaint('cutover')).toContain('cutover needs sync, verify to have succeeded first');
  });

  test('a phase that does not exist is a usage error', async () => {
    expect(await complaint('migrrate')).toContain('unknown command');
  });

  test('the source is as it was found', async () => {
    expect(await fingerprint()).toBe(found);
  });
});
