import { setTimeout as sleep } from 'node:timers/promises';
import type { ChildProcess } from 'node:child_process';
import { Client, type ClientConfig } from 'pg';
import { inTime } from '../../assets/agent/switch/in-time';
import { Poolers } from '../../assets/agent/switch/pooler';
import { INSTANCE_ID, killed } from '../../lib/rehearsal/pooler/machine';
import { nodeClients, perlClients, writtenOn, type Clients } from './clients';
import { BUDGET_SECONDS, CONSOLE, DATABASE, LOGINS, startSetting, type Setting } from './setting';

jest.setTimeout(180_000);

let setting: Setting;
let pooler: ChildProcess | undefined;

beforeAll(async () => {
  setting = await startSetting();
  await setting.machine.start('ibex-pooler-console');
});
afterAll(() => setting?.stop());

beforeEach(async () => {
  setting.machine.side('source');
  setting.secrets();
  await restart();
});

/** Waits until the work succeeds. */
async function eventually<T>(work: () => Promise<T>, ms = 5_000): Promise<T> {
  for (const end = Date.now() + ms; ;) {
    try {
      return await work();
    } catch (error) {
      if (Date.now() > end) throw error;
      await sleep(50);
    }
  }
}

/** Kills PgBouncer where it runs, and starts it as its unit does. */
async function restart(): Promise<void> {
  if (pooler) await killed(pooler);
  pooler = await setting.machine.start('ibex-pooler');
  await eventually(async () => {
    if (pooler?.exitCode !== null) throw new Error(`PgBouncer ended: ${setting.machine.log('ibex-pooler')}`);
    await (await connect()).end();
  });
}

const address = (changes: ClientConfig = {}): ClientConfig => ({
  host: '127.0.0.1',
  port: setting.ports.clients,
  database: DATABASE,
  user: 'shop',
  password: LOGINS['shop'],
  ssl: { rejectUnauthorized: false },
  connectionTimeoutMillis: 20_000,
  ...changes,
});

async function connect(changes: ClientConfig = {}): Promise<Client> {
  const client = new Client(address(changes));
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** Major of the server that a client's transaction reaches. */
async function major(): Promise<number> {
  const client = await connect();
  const { rows } = await client.query<{ server_version_num: string }>('SHOW server_version_num');
  await client.end();
  return Math.floor(Number(rows[0]?.server_version_num) / 10_000);
}

const poolers = (): Promise<Poolers> =>
  Poolers.connect({ consoles: [{ host: '127.0.0.1', port: setting.ports.console }], database: DATABASE }, CONSOLE);

/** Holds the clients as the cutover does. */
const hold = (all: Poolers, ms: number): Promise<void> => inTime('holding clients', ms, (time) => all.pause(time));

const sideOf = async (all: Poolers): Promise<unknown> => Object.values(await all.sides())[0];

describe('logins', () => {
  const verifiers = async (server: Setting['source']): Promise<string[]> => {
    const admin = await server.connect();
    const { rows } = await admin.query<{ rolpassword: string }>(
      'SELECT rolpassword FROM pg_authid WHERE rolname = ANY ($1) ORDER BY rolname',
      [Object.keys(LOGINS)],
    );
    await admin.end();
    return rows.map(({ rolpassword }) => rolpassword);
  };

  /** Failed logins of the last proof, by side, as CloudWatch was told. */
  const told = (): Record<string, number> =>
    Object.fromEntries(
      setting.machine
        .metrics()
        .slice(-2)
        .map((line) => {
          const [, value, instance, side = ''] =
            /^MetricName=FailedLogins,Unit=Count,Value=(\d+),Dimensions=\[\{Name=InstanceId,Value=(\S+?)\},\{Name=Side,Value=(\w+)\}\]$/.exec(
              line,
            ) ?? [];
          expect(instance).toBe(INSTANCE_ID);
          return [side, Number(value)];
        }),
    );

  test('have SCRAM verifiers that differ between both servers', async () => {
    const [source, target] = [await verifiers(setting.source), await verifiers(setting.target)];
    expect([...source, ...target].every((each) => each.startsWith('SCRAM-SHA-256$'))).toBe(true);
    expect(new Set([...source, ...target]).size).toBe(2 * Object.keys(LOGINS).length);
  });

  test.each(Object.keys(LOGINS))('%s is let in with its password, and with no other', async (user) => {
    const client = await connect({ user, password: LOGINS[user] });
    expect((await client.query('SELECT current_user AS me')).rows).toEqual([{ me: user }]);
    await client.end();
    await expect(connect({ user, password: 'wrong' })).rejects.toThrow(/SASL authentication failed/);
  });

  test('are refused without TLS', async () => {
    await expect(connect({ ssl: false })).rejects.toThrow(/SSL required|no authentication method/i);
  });

  test('are proven on both servers', async () => {
    expect(await setting.machine.run('/opt/ibex-pooler/pooler.sh prove')).toEqual({
      status: 0,
      stdout: `each of ${2 * Object.keys(LOGINS).length} logins works\n`,
      stderr: '',
    });
    expect(told()).toEqual({ serving: 0, other: 0 });
  });

  test('are told to CloudWatch, for the side that the pooler is on and for the other', async () => {
    const admin = await setting.source.connect();
    await admin.query(`ALTER ROLE shop PASSWORD 'another'`);
    await setting.machine.run('/opt/ibex-pooler/pooler.sh prove');
    await admin.query(`ALTER ROLE shop PASSWORD ${admin.escapeLiteral(LOGINS['shop'] ?? '')}`);
    await admin.end();
    expect(told()).toEqual({ serving: 1, other: 0 });
  });

  test('with a wrong password fail the proof, which names login and side and no password', async () => {
    const admin = await setting.target.connect();
    await admin.query(`ALTER ROLE shop PASSWORD 'another'`);
    const { status, stdout, stderr } = await setting.machine.run('/opt/ibex-pooler/pooler.sh prove');
    await admin.query(`ALTER ROLE shop PASSWORD ${admin.escapeLiteral(LOGINS['shop'] ?? '')}`);
    await admin.end();
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(
      /^login shop fails on the target: .*password authentication failed for user "shop"\nibex-pooler: 1 of 4 logins fail; .*\n$/,
    );
    expect(stderr).not.toContain(LOGINS['shop']);
    expect(told()).toEqual({ serving: 0, other: 1 });
  });

  test('get a new password without a restart, and without losing a client', async () => {
    const client = await connect();
    const arn = setting.configuration.logins['Billing App'] ?? '';
    setting.machine.secret(arn, { username: 'Billing App', password: 'new' });
    expect(await setting.machine.run('/opt/ibex-pooler/pooler.sh users')).toMatchObject({ status: 0, stderr: '' });
    // The pooler itself takes the password at once; the servers have the old one, and say so.
    await eventually(() =>
      expect(connect({ user: 'Billing App', password: 'new' })).rejects.toThrow(
        /password authentication failed for user/,
      ),
    );
    setting.secrets();
    await setting.machine.run('/opt/ibex-pooler/pooler.sh users');
    await eventually(async () => (await connect({ user: 'Billing App', password: LOGINS['Billing App'] })).end());
    expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    await client.end();
  });

  test.each<[string, unknown, RegExp]>([
    ['is no JSON', 'hunter2', /secret of login shop cannot be used: .*no JSON/],
    ['belongs to another user', { username: 'root', password: 'hunter2' }, /login shop .*it is of user root/],
    ['has no password', { username: 'shop' }, /login shop .*it has no usable password/],
    [
      'would end its line',
      { username: 'shop', password: 'hunter2\n"x" "y"' },
      /login shop .*it has no usable password/,
    ],
  ])('whose secret %s leave the list as it is', async (_what, secret, message) => {
    const arn = setting.configuration.logins['shop'] ?? '';
    setting.machine.secret(arn, secret);
    const { status, stderr } = await setting.machine.run('/opt/ibex-pooler/pooler.sh users');
    expect(status).not.toBe(0);
    expect(stderr).toMatch(message);
    expect(stderr).not.toContain('hunter2');
    await (await connect()).end();
  });
});

describe('the console', () => {
  test.each<[string, () => ClientConfig]>([
    [
      'its own login, at the port of the clients',
      () => ({ ...CONSOLE, user: CONSOLE.username, database: 'pgbouncer' }),
    ],
    ['its own login, for a database', () => ({ ...CONSOLE, user: CONSOLE.username })],
    ['the user of PgBouncer, at the port of the clients', () => ({ user: 'pgbouncer', database: 'pgbouncer' })],
    ['an application, at the port of the clients', () => ({ database: 'pgbouncer' })],
    ['an application', () => ({ database: 'pgbouncer', port: setting.ports.console })],
    ['an application, for its database', () => ({ port: setting.ports.console })],
    [
      // Whoever has the user id of PgBouncer at the Unix socket needs no password: stunnel must not.
      'the user of PgBouncer, who needs no password on its machine',
      () => ({ user: 'pgbouncer', database: 'pgbouncer', port: setting.ports.console }),
    ],
    [
      'its own login with a wrong password',
      () => ({ user: CONSOLE.username, password: 'wrong', database: 'pgbouncer', port: setting.ports.console }),
    ],
    [
      'its own login without TLS',
      () => ({ ...CONSOLE, user: CONSOLE.username, database: 'pgbouncer', port: setting.ports.console, ssl: false }),
    ],
  ])('refuses %s', async (_who, changes) => {
    await expect(connect(changes())).rejects.toThrow(
      /login rejected|not allowed|authentication|no authentication method|Connection terminated|ECONNRESET/i,
    );
  });

  test('obeys its own login at its own port', async () => {
    const all = await poolers();
    expect(await all.sides()).toEqual({ [`pooler 127.0.0.1:${setting.ports.console}`]: 'source' });
    all.close();
  });
});

describe('a switch under load', () => {
  test('moves clients that prepare on the server from 11 to 17 and back without an error', async () => {
    const everybody: Clients[] = [
      nodeClients(address(), 8),
      perlClients(address(), 4),
      perlClients(address({ user: 'Billing App', password: LOGINS['Billing App'] }), 2),
    ];
    const all = await poolers();
    const pauses: number[] = [];
    const moved: number[] = [];
    const progress = () => Promise.all(everybody.map((clients) => clients.progress(50)));
    for (const side of ['target', 'source', 'target'] as const) {
      await progress();
      const begin = performance.now();
      await hold(all, 5_000);
      await all.lead(side);
      await all.resume();
      pauses.push(performance.now() - begin);
      const left = setting[side === 'target' ? 'source' : 'target'];
      const before = await writtenOn(left);
      await progress();
      // Nothing more has come to the side that was left.
      expect(await writtenOn(left)).toEqual(before);
      moved.push(await major());
    }
    const results = await Promise.all(everybody.map((clients) => clients.stop()));
    expect(moved).toEqual([17, 11, 17]);
    expect(results.flatMap(({ errors }) => errors)).toEqual([]);
    // Every acknowledged write is on exactly one side.
    const rows = [...(await writtenOn(setting.source)), ...(await writtenOn(setting.target))].sort();
    expect(rows).toEqual(results.flatMap(({ acknowledged }) => acknowledged).sort());
    const longest = Math.max(...results.map(({ longestMs }) => longestMs));
    const total = results.reduce((sum, { acknowledged }) => sum + acknowledged.length, 0);
    process.stderr.write(
      `${total} transactions; pauses ${pauses.map(Math.round).join(', ')} ms; longest wait of a client ${Math.round(longest)} ms\n`,
    );
    expect(longest).toBeLessThan(Math.max(...pauses) + 1_000);
    all.close();
  });

  test('is called off, and nobody sees an error, when a transaction does not end in time', async () => {
    const stuck = await connect();
    await stuck.query('BEGIN');
    await stuck.query(`INSERT INTO written VALUES ('stuck', 1)`);
    const clients = nodeClients(address(), 4);
    await clients.progress(20);
    const all = await poolers();
    await expect(hold(all, 500)).rejects.toThrow(
      /transactions on pooler 127\.0\.0\.1:\d+ did not end within 500 ms; end the longest ones/,
    );
    expect(await sideOf(all)).toBe('source');
    await clients.progress(20);
    expect((await clients.stop()).errors).toEqual([]);
    await stuck.query('COMMIT');
    await stuck.end();
    // The sessions are good for the next try.
    await hold(all, 5_000);
    await all.resume();
    all.close();
  });

  test.each([
    ['before it was moved', false],
    ['when it was moved already', true],
  ])('that nobody ends, %s, is ended by the pooler itself on the side that served', async (_when, moved) => {
    const watch = await setting.machine.start('ibex-pooler-watch');
    // The watch has seen which side serves.
    await sleep(1_500);
    const all = await poolers();
    const begin = Date.now();
    await hold(all, 5_000);
    if (moved) await all.lead('target');
    all.close();
    expect(await major()).toBe(11);
    const seconds = (Date.now() - begin) / 1_000;
    await killed(watch);
    process.stderr.write(`a pause that nobody ends: ${seconds.toFixed(1)} s with a budget of ${BUDGET_SECONDS} s\n`);
    expect(seconds).toBeGreaterThan(BUDGET_SECONDS);
    expect(seconds).toBeLessThan(BUDGET_SECONDS + 5);
  });

  test('whose watch began within the pause goes to the recorded side', async () => {
    const all = await poolers();
    await hold(all, 5_000);
    await all.lead('target');
    all.close();
    const watch = await setting.machine.start('ibex-pooler-watch');
    expect(await major()).toBe(11);
    await killed(watch);
  });
});

describe('a restart', () => {
  test('of a pooler that is paused lets the clients go on at the recorded side', async () => {
    const all = await poolers();
    await hold(all, 5_000);
    await restart();
    expect(await major()).toBe(11);
    all.close();
  });

  test('between the switch and its record comes back to the recorded side', async () => {
    const all = await poolers();
    await hold(all, 5_000);
    await all.lead('target');
    await all.resume();
    expect(await major()).toBe(17);
    all.close();
    await restart();
    expect(await major()).toBe(11);
  });

  test('after the record comes up on the new side', async () => {
    setting.machine.side('target');
    await restart();
    expect(await major()).toBe(17);
    const { stdout } = await setting.machine.run('/opt/ibex-pooler/pooler.sh status');
    expect(stdout).toBe('serving on the target; after a restart on the target\n');
  });

  test('needs no secret: the list of users is still there', async () => {
    const before = setting.machine.calls().filter((call) => call.startsWith('secretsmanager')).length;
    await restart();
    expect(setting.machine.calls().filter((call) => call.startsWith('secretsmanager'))).toHaveLength(before);
  });

  test.each<[string, string | undefined, RegExp]>([
    ['cannot be read', undefined, /parameter \/ibex\/shop\/pooler\/side cannot be read, so the side is unknown/],
    ['says something else', 'None', /parameter \/ibex\/shop\/pooler\/side is 'None'; it must be source or target/],
  ])('does not guess: nothing starts when the parameter %s', async (_what, side, message) => {
    setting.machine.side(side);
    const { status, stdout, stderr } = await setting.machine.run('/opt/ibex-pooler/pooler.sh start');
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(message);
  });

  test('or a new configuration leaves the side as it is', async () => {
    const all = await poolers();
    await all.lead('target');
    expect(await setting.machine.run('/opt/ibex-pooler/pooler.sh reload')).toMatchObject({ status: 0 });
    expect(await sideOf(all)).toBe('target');
    all.close();
  });
});

test('what is secret is readable by the user of PgBouncer alone', async () => {
  const { stdout } = await setting.machine.run(`find /run/ibex-pooler -type f -printf '%m %u %f\\n'`, 'root');
  const lines = stdout.trim().split('\n');
  expect(lines).toContain('600 postgres userlist.txt');
  expect(lines.filter((line) => !line.startsWith('600 postgres '))).toEqual([]);
});
