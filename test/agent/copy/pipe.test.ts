import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from 'pg';
import { connectTo } from '../../../assets/agent/connect';
import { pipe } from '../../../assets/agent/copy/pipe';
import type { Endpoint } from '../../../assets/agent/endpoints';
import { startPostgres, type TestPostgres } from '../../helpers/postgres';

const FORMATS = ['binary', 'text'] as const;
const HASH = `SELECT count(*)::int AS rows, md5(string_agg(md5(r::text), '' ORDER BY id)) AS hash FROM sent r`;

/** A key of the server's own, which its account alone can read. */
function makeKey(server: TestPostgres, directory: string): void {
  const [key, certificate] = ['server.key', 'server.crt'].map((name) => join(directory, name)) as [string, string];
  const request = ['req', '-new', '-x509', '-nodes', '-days', '2', '-subj', '/CN=localhost'];
  execFileSync('openssl', [...request, '-keyout', key, '-out', certificate], { stdio: 'ignore' });
  const { uid, gid } = statSync(server.dataDirectory);
  execFileSync('chown', [`${uid}:${gid}`, key, certificate]);
  chmodSync(key, 0o600);
}

describe.each(['disable', 'require'] as const)('rows from session to session, sslmode %s', (sslmode) => {
  let server: TestPostgres;
  let source: Client;
  let target: Client;
  const directory = mkdtempSync(join(tmpdir(), 'ibex-pipe-'));

  beforeAll(async () => {
    chmodSync(directory, 0o755);
    server = await startPostgres({ version: 17 });
    const admin = await server.connect();
    if (sslmode === 'require') {
      makeKey(server, directory);
      await admin.query(`ALTER SYSTEM SET ssl_cert_file = '${join(directory, 'server.crt')}'`);
      await admin.query(`ALTER SYSTEM SET ssl_key_file = '${join(directory, 'server.key')}'`);
      await admin.query('ALTER SYSTEM SET ssl = on');
      await admin.query('SELECT pg_reload_conf()');
    }
    await admin.query(`
      CREATE TABLE sent AS SELECT id, repeat(md5(id::text), (id % 60)::int) AS note, decode(md5(id::text), 'hex') AS raw,
        CASE WHEN id % 3 = 0 THEN id / 7.0 END AS part FROM generate_series(1::bigint, 40000) AS id;
      INSERT INTO sent VALUES (0, repeat('a row longer than any buffer ', 40000))`);
    await admin.query('CREATE DATABASE receiving');
  }, 60_000);

  beforeEach(async () => {
    const { host, port, user } = server;
    const endpoint: Endpoint = { end: 'source', host, port, database: 'postgres', user, password: '', sslmode };
    source = await connectTo(endpoint, 'test');
    target = await connectTo({ ...endpoint, end: 'target', database: 'receiving' }, 'test');
    await target.query(
      'DROP TABLE IF EXISTS public.sent; CREATE TABLE public.sent (id bigint, note text, raw bytea, part numeric)',
    );
    for (const session of [source, target]) await session.query('SET search_path = public');
  });
  afterEach(() => Promise.allSettled([source.end(), target.end()]));

  afterAll(async () => {
    await server.stop();
    rmSync(directory, { recursive: true });
  });

  it.each(FORMATS)('arrive as they are, in %s, though the receiver stops again and again', async (format) => {
    const admin = await server.connect('receiving');
    const { rows } = await target.query('SELECT pg_backend_pid() AS pid');
    const { pid } = (rows as { pid: number }[])[0] as { pid: number };
    const stops = setInterval(() => {
      process.kill(pid, 'SIGSTOP');
      setTimeout(() => process.kill(pid, 'SIGCONT'), 15);
    }, 30);
    try {
      const [from, into] = [
        `COPY sent TO STDOUT (FORMAT ${format})`,
        `COPY sent FROM STDIN (FORMAT ${format})`,
      ] as const;
      const piped = await pipe(source, from, target, into);
      expect(piped.rows).toBe(40_001);
    } finally {
      clearInterval(stops);
      process.kill(pid, 'SIGCONT');
    }
    expect((await admin.query(HASH)).rows).toEqual((await source.query(HASH)).rows);
  });

  it('arrive as they are when the socket keeps several pieces back', async () => {
    const { stream } = (target as unknown as { connection: { stream: Socket } }).connection;
    stream.cork();
    const flushes = setInterval(() => {
      stream.uncork();
      stream.cork();
    }, 40);
    try {
      // A thousand bytes each thousandth of a second: the server sends a piece of 8 kB now and then.
      const rows = `SELECT id, repeat(md5(id::text), 30) FROM generate_series(1, 400) AS id WHERE pg_sleep(0.001) IS NOT NULL`;
      await pipe(source, `COPY (${rows}) TO STDOUT`, target, 'COPY sent (id, note) FROM STDIN');
    } finally {
      clearInterval(flushes);
      stream.uncork();
    }
    const { rows } = await target.query(
      'SELECT count(*)::int AS rows, count(DISTINCT id)::int AS ids FROM sent WHERE note = repeat(md5(id::text), 30)',
    );
    expect(rows).toEqual([{ rows: 400, ids: 400 }]);
  });

  it('leave both sessions as they were: they answer, and carry again', async () => {
    for (let time = 1; time <= 3; time += 1) {
      await pipe(
        source,
        'COPY (SELECT * FROM sent WHERE id > 39990) TO STDOUT',
        target,
        'COPY sent (id, note, raw, part) FROM STDIN',
      );
      for (const session of [source, target]) {
        expect((await session.query('SELECT $1::int AS n', [time])).rows).toEqual([{ n: time }]);
      }
    }
    expect((await target.query('SELECT count(*)::int AS rows FROM sent')).rows).toEqual([{ rows: 30 }]);
  });

  it('are paced by what the teller of bytes answers', async () => {
    let asked = 0;
    const begin = Date.now();
    await pipe(source, 'COPY sent TO STDOUT', target, 'COPY sent FROM STDIN', {
      onBytes: () => (asked++ < 10 ? 40 : 0),
    });
    expect(Date.now() - begin).toBeGreaterThanOrEqual(300);
    expect((await target.query('SELECT count(*)::int AS rows FROM sent')).rows).toEqual([{ rows: 40_001 }]);
  });
});
