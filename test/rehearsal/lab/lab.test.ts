import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { type Lab, openLab, sweepStale } from '../../../lib/rehearsal/lab';
import { processesOf } from '../../../lib/rehearsal/lab/processes';

const program = (file: string): void =>
  writeFileSync(file, 'process.stdout.write(JSON.stringify(process.argv.slice(2)));');
const open = (log: (line: string) => void = () => {}): Promise<Lab> =>
  openLab({
    sourceVersion: 11,
    targetVersion: 17,
    scale: 1,
    log,
    program,
    settings: { capture: { lockTimeoutMs: 7, attempts: 3 } },
  });

const one = async (client: Client, text: string): Promise<unknown> => {
  const { rows } = await client.query({ text, rowMode: 'array' });
  return (rows[0] as unknown[] | undefined)?.[0];
};
async function using<T>(connection: Promise<Client>, work: (client: Client) => Promise<T>): Promise<T> {
  const client = await connection;
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

describe('a lab', () => {
  let lab: Lab;
  beforeAll(async () => (lab = await open()), 60_000);
  afterAll(() => lab.close());

  it('has servers of the versions that were asked for', async () => {
    expect(await using(lab.connect('source'), (client) => one(client, 'SHOW server_version'))).toMatch(/^11\./);
    expect(await using(lab.connect('target'), (client) => one(client, 'SHOW server_version'))).toMatch(/^17\./);
    expect(await using(lab.hostPostgres.admin(), (client) => one(client, 'SHOW server_version'))).toMatch(/^15\./);
  });

  describe('target', () => {
    const master = <T>(work: (client: Client) => Promise<T>): Promise<T> => using(lab.connect('target'), work);

    it('gives a login that is no superuser and cannot become one', async () => {
      await master(async (client) => {
        expect(await one(client, `SELECT current_setting('is_superuser')`)).toBe('off');
        await expect(client.query('ALTER ROLE ibex_master SUPERUSER')).rejects.toThrow(/permission denied/);
        await expect(client.query('CREATE ROLE upstart SUPERUSER')).rejects.toThrow(/permission denied/);
        await expect(client.query('SET ROLE rdsadmin')).rejects.toThrow(/permission denied/);
        await expect(client.query(`COPY (SELECT 1) TO PROGRAM 'true'`)).rejects.toThrow(/permission denied/);
      });
    });

    it('lets it write as a replica, and lets it pass that on to a login that it makes', async () => {
      await master(async (client) => {
        await client.query(`SET session_replication_role = 'replica'`);
        await client.query(`CREATE ROLE passed_on LOGIN PASSWORD 'p'; GRANT rds_superuser TO passed_on`);
      });
      const { host, port } = lab.target;
      const client = new Client({ host, port, user: 'passed_on', password: 'p', database: 'shop' });
      await client.connect();
      await using(Promise.resolve(client), () => client.query(`SET session_replication_role = 'replica'`));
      await master((admin) => admin.query('DROP ROLE passed_on'));
    });

    it('has an empty database that the login owns', async () => {
      await master(async (client) => {
        expect(
          await one(client, `SELECT count(*)::integer FROM pg_class WHERE relnamespace = 'public'::regnamespace`),
        ).toBe(0);
        expect(await one(client, `SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'shop'`)).toBe(
          'ibex_master',
        );
        await client.query('CREATE SCHEMA mine; DROP SCHEMA mine');
      });
    });
  });

  describe('source', () => {
    it('is owned by a login without special rights', async () => {
      await using(lab.connect('source'), async (client) => {
        expect(
          await one(
            client,
            `SELECT rolsuper OR rolreplication OR rolcreaterole FROM pg_roles WHERE rolname = current_user`,
          ),
        ).toBe(false);
        await expect(client.query(`SET session_replication_role = 'replica'`)).rejects.toThrow(/permission denied/);
        const foreign = await one(
          client,
          `SELECT count(*)::integer FROM pg_class WHERE relkind IN ('r', 'p', 'S', 'v', 'm') AND relowner <> current_user::regrole
             AND relnamespace IN ('shop'::regnamespace, 'billing'::regnamespace, '"Mixed Case"'::regnamespace, 'public'::regnamespace)`,
        );
        expect(foreign).toBe(0);
      });
    });

    it('has rows in every table but the one that stays empty, and a key on each', async () => {
      await using(lab.connect('source'), async (client) => {
        const { rows } = await client.query<{ name: string; keyed: boolean }>(
          `SELECT c.oid::regclass::text AS name,
                  EXISTS (SELECT 1 FROM pg_constraint WHERE conrelid = c.oid AND contype = 'p') AS keyed
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE c.relkind = 'r' AND n.nspname IN ('public', 'shop', 'billing', 'Mixed Case') ORDER BY 1`,
        );
        expect(rows.filter(({ keyed }) => !keyed)).toEqual([]);
        const empty: string[] = [];
        for (const { name } of rows) if (!(await one(client, `SELECT true FROM ${name} LIMIT 1`))) empty.push(name);
        expect(empty).toEqual(['pgbench_history', 'shop.wish']);
        expect(await one(client, 'SELECT count(*)::integer FROM pgbench_accounts')).toBe(100_000);
      });
    });

    it('lets the application write, through its one address, and not change the schema', async () => {
      const client = new Client(lab.application);
      await client.connect();
      await using(Promise.resolve(client), async () => {
        await client.query(`UPDATE shop.priority SET slug = slug || '?' WHERE id = 1`);
        await client.query('INSERT INTO shop."Order" (customer_id) VALUES (1)');
        await expect(client.query('DROP TABLE shop.wish')).rejects.toThrow(/must be owner/);
      });
      const logged = `SELECT "Row"->>'slug' FROM "Mixed Case"."Log Entry" ORDER BY "Id" DESC LIMIT 1`;
      expect(await using(lab.connect('source'), (owner) => one(owner, logged))).toBe('slug-1?');
    });

    it('refuses a wrong password', async () => {
      const client = new Client({ ...lab.application, password: 'wrong' });
      await expect(client.connect()).rejects.toThrow(/password authentication failed/);
    });

    it('comes back with every commit after all its processes were killed', async () => {
      const client = await lab.connect('source', 'application');
      await client.query(`INSERT INTO shop.wish (wish) VALUES ('survive')`);
      await lab.source.kill();
      await expect(client.query('SELECT 1')).rejects.toThrow();
      await expect(lab.connect('source')).rejects.toThrow(/ECONNREFUSED/);
      await lab.source.start();
      expect(await using(lab.connect('source'), (owner) => one(owner, 'SELECT wish FROM shop.wish'))).toBe('survive');
    });

    it('stops and starts again on the same port', async () => {
      await lab.target.stop();
      await expect(lab.connect('target')).rejects.toThrow(/ECONNREFUSED/);
      await lab.target.start();
      await lab.target.start();
      expect(await using(lab.connect('target'), (client) => one(client, 'SELECT 1'))).toBe(1);
    });
  });

  describe('host', () => {
    it('runs the program by the command `ibex`, with nothing but the environment it is given', () => {
      const output = execFileSync('ibex', ['job', 'status', 'a b'], { env: { ...lab.environment }, encoding: 'utf8' });
      expect(JSON.parse(output)).toEqual(['job', 'status', 'a b']);
      expect(lab.environment['IBEX_CONFIG']).toBe(join(lab.directory, 'host', 'ibex.json'));
    });

    it('has a configuration with the overrides in it, and secrets that only its account reads', () => {
      const config = JSON.parse(readFileSync(lab.environment['IBEX_CONFIG'] ?? '', 'utf8')) as Lab['config'];
      expect(config).toEqual(lab.config);
      expect(config.capture).toEqual({ lockTimeoutMs: 7, attempts: 3 });
      const secrets = join(lab.directory, 'host', 'secrets');
      expect(statSync(secrets).mode & 0o777).toBe(0o700);
      expect(statSync(join(secrets, 'source')).mode & 0o777).toBe(0o600);
      expect(JSON.parse(readFileSync(join(secrets, 'application'), 'utf8'))).toEqual({
        username: 'shop_app',
        password: lab.application.password,
      });
      expect(lab.application.password).toMatch(/ .*'.*".*@.*:.*\/.*=.*%.*#.*\\/);
    });

    it('puts the service file of Bucardo into the environment of its PostgreSQL, which has plperlu', async () => {
      await using(lab.hostPostgres.admin(), async (client) => {
        await client.query('CREATE EXTENSION plperlu');
        await client.query(`CREATE FUNCTION environment(text) RETURNS text LANGUAGE plperlu AS 'return $ENV{$_[0]}'`);
        expect(await one(client, `SELECT environment('PGSERVICEFILE')`)).toBe(
          join(lab.config.host.runDirectory, 'pg_service.conf'),
        );
      });
    });
  });

  it('moves its applications by the command that the host program is told', async () => {
    const [how] = lab.config.cutover.switches;
    if (how?.kind !== 'command') throw new Error('the lab switches by a command');
    const [file = '', ...args] = how.command;
    execFileSync(file, [...args, 'target'], { env: { ...lab.environment } });
    expect(await lab.endpoint.side()).toBe('target');
    await expect(new Client(lab.application).connect()).rejects.toThrow(/password authentication failed/);
    execFileSync(file, [...args, 'source'], { env: { ...lab.environment } });
    const client = new Client(lab.application);
    await client.connect();
    expect(await using(Promise.resolve(client), () => one(client, 'SHOW server_version'))).toMatch(/^11\./);
  });
});

it('two labs do not meet, closing leaves nothing, and only the lab of a dead owner is swept', async () => {
  const lines: string[] = [];
  const [first, second] = await Promise.all([open(), open()]);
  try {
    const ports = [first, second].flatMap((lab) => [
      lab.source.port,
      lab.target.port,
      lab.endpoint.port,
      lab.hostPostgres.port,
    ]);
    expect(new Set(ports).size).toBe(8);

    await first.source.kill();
    await first.close();
    await first.close();
    expect(existsSync(first.directory)).toBe(false);
    expect(processesOf(first.directory)).toEqual([]);

    await sweepStale((line) => lines.push(line));
    expect(await using(second.connect('source'), (client) => one(client, 'SELECT 1'))).toBe(1);

    const owner = spawn('true');
    await once(owner, 'exit');
    const record = join(second.directory, 'lab.json');
    const old = JSON.parse(readFileSync(record, 'utf8')) as { owner: { pid: number } };
    writeFileSync(record, JSON.stringify({ ...old, owner: { ...old.owner, pid: owner.pid } }));
    await sweepStale((line) => lines.push(line));
    expect(lines.filter((line) => line.includes(second.directory))).toHaveLength(1);
    expect(existsSync(second.directory)).toBe(false);
    expect(processesOf(second.directory)).toEqual([]);
  } finally {
    await first.close();
    await second.close();
  }
});

it('refuses versions that cannot be rehearsed, before it starts anything', async () => {
  const log = (): void => {};
  await expect(openLab({ sourceVersion: 9, targetVersion: 17, scale: 1, log })).rejects.toThrow(
    /source version 9: must be .* 10 to 17/,
  );
  await expect(openLab({ sourceVersion: 17, targetVersion: 16, scale: 1, log })).rejects.toThrow(
    /older than the source/,
  );
  await expect(openLab({ sourceVersion: 11, targetVersion: 17, scale: 0, log })).rejects.toThrow(/scale 0/);
});
