import { execFile, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from 'pg';
import { bundleAgent } from '../../lib/agent-bundle';
import { PASSWORD, startMigration, type TestMigration } from '../helpers/migration';

/** How the program ended. */
interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

let directory: string;
let program: string;
let migration: TestMigration;
let source: Client;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ibex-program-'));
  program = join(directory, 'ibex.js');
  bundleAgent(program);
  migration = await startMigration();
  source = await migration.admin('source');
  await source.query('CREATE TABLE item (id int PRIMARY KEY); INSERT INTO item VALUES (1)');
  const login = JSON.stringify({ username: 'mover', password: 'not this one' });
  mkdirSync(join(directory, 'wrong'));
  writeFileSync(join(directory, 'wrong', 'source'), login, { mode: 0o600 });
  configure('ibex.json', {});
  configure('patient.json', { capture: { lockTimeoutMs: 100, attempts: 10_000 } });
  configure('wrong.json', { secrets: { kind: 'directory', path: join(directory, 'wrong') } });
  await succeeded('assess', 'schema');
});
afterAll(async () => {
  await migration.stop();
  rmSync(directory, { recursive: true, force: true });
});

const configure = (name: string, overrides: object): void =>
  writeFileSync(join(directory, name), JSON.stringify({ ...migration.config, ...overrides }));

/** Lets these phases count as done. */
async function succeeded(...phases: string[]): Promise<void> {
  const context = await migration.context('assess');
  for (const phase of phases) {
    await context.state.phaseStarted(phase);
    await context.state.phaseEnded(phase, 'succeeded', 'by the test');
  }
  await context.close();
}

const ibex = (args: string[], config = 'ibex.json'): Promise<Outcome> =>
  new Promise((resolve) => {
    const env = { PATH: process.env['PATH'], HOME: directory, IBEX_CONFIG: join(directory, config) };
    const child = execFile(process.execPath, [program, ...args], { env }, (_, stdout, stderr) =>
      resolve({ status: child.exitCode ?? -1, stdout, stderr }),
    );
  });

const oneLine = expect.stringMatching(/^[^\n]+\n$/);

describe('a mistake in the command line is one line and exit status 2', () => {
  const told = 'ibex.json';

  it.each<[string, string[], RegExp, string]>([
    ['an unknown command', ['migrate'], /^ibex: unknown command 'migrate'/, told],
    ['no command', [], /^ibex: no command is given; "ibex --help" lists the commands$/, told],
    ['an unknown option', ['capture', '--fast'], /^ibex: unknown option '--fast'/, told],
    ['an unknown phase', ['job', 'start', 'teleport'], /^ibex: phase "teleport" is unknown; phases are assess,/, told],
    ['no phase', ['job', 'status'], /^ibex: missing required argument 'phase'/, told],
    ['no verb', ['job'], /^ibex: no command is given; "ibex --help" lists the commands$/, told],
    [
      'a wait that is no number',
      ['job', 'status', 'dump', '--wait', 'x'],
      /^ibex: --wait "x" is no number of seconds/,
      told,
    ],
    [
      'no configuration',
      ['capture'],
      /^ibex: configuration .*none\.json cannot be read \(ENOENT\); run the/,
      'none.json',
    ],
    [
      'a configuration that is no JSON',
      ['job', 'start', 'dump'],
      /^ibex: configuration .*ibex\.js is no JSON: .*again$/,
      'ibex.js',
    ],
  ])('%s', async (_, args, message, config) => {
    const { status, stdout, stderr } = await ibex(args, config);
    expect({ status, stdout, stderr }).toEqual({ status: 2, stdout: '', stderr: oneLine });
    expect(stderr.trimEnd()).toMatch(message);
  });

  it('help is no mistake', async () => {
    const { status, stdout, stderr } = await ibex(['--help']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain('run capture here, to its end');
  });
});

describe('a failure is one line and exit status 1', () => {
  it.each(['capture', 'cleanup'])('a wrong password, in %s', async (phase) => {
    const { status, stdout, stderr } = await ibex([phase], 'wrong.json');
    expect({ status, stdout, stderr }).toEqual({ status: 1, stdout: '', stderr: oneLine });
    expect(stderr).toMatch(
      /^ibex: cannot connect to source 127\.0\.0\.1:\d+\/app1 as mover: .*; the password in the secret is wrong; correct the secret and start again\n$/,
    );
    expect(stderr).not.toContain('not this one');
    expect((await ibex(['job', 'result', phase])).stdout).toBe(stderr.replace(/^ibex:/, `failed ${phase}:`));
  });

  it('a flag of another phase', async () => {
    const { status, stderr } = await ibex(['job', 'start', 'capture', '--repair']);
    expect({ status, stderr }).toEqual({ status: 2, stderr: 'ibex: --repair is for verify, not for capture\n' });
    expect((await ibex(['capture', '--repair'])).status).toBe(2);
  });

  it('a phase before those that it needs', async () => {
    const { status, stderr } = await ibex(['restore']);
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: 'ibex: restore needs dump to have succeeded first; start that runbook\n',
    });
  });
});

describe('a job', () => {
  let open: Client;
  /** Keeps capture at work until it is released. */
  beforeEach(async () => {
    await ibex(['cleanup']);
    await succeeded('assess', 'schema');
    open = await migration.admin('source');
    await open.query('BEGIN; INSERT INTO item SELECT max(id) + 1 FROM item');
  });
  afterEach(async () => {
    await open.query('ROLLBACK').catch(() => undefined);
    await open.end();
    await ibex(['job', 'status', 'capture', '--wait', '20']);
  });
  const job = (...args: string[]): Promise<Outcome> => ibex(['job', ...args], 'patient.json');
  const pidOf = (line: string): number => Number(/as process (\d+)\n$/.exec(line)?.[1]);

  it('is started once, seen to run, waited for, and has a result', async () => {
    const started = await job('start', 'capture', '--wait', '0');
    expect(started).toMatchObject({
      status: 0,
      stderr: '',
      stdout: expect.stringMatching(/^started capture as process \d+\n$/),
    });
    const again = await job('start', 'capture', '--wait', '0');
    expect(again).toMatchObject({ status: 0, stderr: '', stdout: expect.stringMatching(/^running capture[^\n]*\n$/) });
    expect(await job('result', 'capture')).toMatchObject({
      status: 1,
      stdout: expect.stringMatching(/^running capture/),
    });
    const begun = Date.now();
    expect((await job('status', 'capture', '--wait', '1')).stdout).toMatch(/^running capture/);
    expect(Date.now() - begun).toBeGreaterThan(900);
    setTimeout(() => void open.query('COMMIT'), 500);
    const ended = await job('status', 'capture', '--wait', '25');
    expect(ended).toMatchObject({
      status: 0,
      stderr: '',
      stdout: expect.stringMatching(/^succeeded capture: 1 relations captured/),
    });
    expect(Date.now() - begun).toBeLessThan(15_000);
    expect(await job('result', 'capture')).toEqual({ status: 0, stderr: '', stdout: ended.stdout });
  });

  it('is started once even by two at the same moment', async () => {
    const lines = (await Promise.all([job('start', 'capture'), job('start', 'capture')])).map((each) => each.stdout);
    expect(lines.sort()).toEqual([
      expect.stringMatching(/^running capture/),
      expect.stringMatching(/^started capture/),
    ]);
    await open.query('COMMIT');
    expect((await job('status', 'capture', '--wait', '25')).stdout).toMatch(/^succeeded capture/);
  });

  it('that was killed is called failed, with the way on, and goes on when it is started again', async () => {
    const pid = pidOf((await job('start', 'capture')).stdout);
    const waiting = job('status', 'capture', '--wait', '25');
    process.kill(pid, 'SIGKILL');
    const line = `failed capture: process ${pid} ended without a word (killed, or the host restarted); start the runbook again, it resumes\n`;
    expect(await waiting).toEqual({ status: 0, stdout: line, stderr: '' });
    expect(await job('result', 'capture')).toEqual({ status: 1, stdout: line, stderr: '' });
    await open.query('COMMIT');
    expect((await job('start', 'capture')).stdout).toMatch(/^started capture as process \d+\n$/);
    expect((await job('status', 'capture', '--wait', '25')).stdout).toMatch(/^succeeded capture: 1 relations captured/);
  });

  it('refuses a second run of its phase beside it', async () => {
    const pid = pidOf((await job('start', 'capture')).stdout);
    expect(await ibex(['capture'])).toEqual({
      status: 1,
      stdout: '',
      stderr: `ibex: capture runs already as process ${pid}; wait for it\n`,
    });
    expect((await job('status', 'capture')).stdout).toMatch(/^running capture/);
  });

  it('that was never started is called failed', async () => {
    const line = 'failed verify: it was never started here; start its runbook\n';
    expect(await job('status', 'verify', '--wait', '5')).toEqual({ status: 0, stdout: line, stderr: '' });
    expect(await job('result', 'verify')).toEqual({ status: 1, stdout: line, stderr: '' });
  });

  it('shows no secret to anyone: not in its arguments, environment or files', async () => {
    const pid = pidOf((await job('start', 'capture')).stdout);
    const shown = ['cmdline', 'environ'].map((file) => readFileSync(`/proc/${pid}/${file}`, 'utf8')).join('');
    expect(shown).toContain('capture');
    expect(shown).not.toContain(PASSWORD);
    expectNoSecret();
  });
});

/** The password as it is, as JSON holds it, and as a password file does. */
const FORMS = [PASSWORD, JSON.stringify(PASSWORD).slice(1, -1), PASSWORD.replace(/[\\:]/g, '\\$&')];

/** Looks through every file that the program left, but for the secrets themselves. */
function expectNoSecret(): string[] {
  const { stateDirectory, runDirectory } = migration.config.host;
  const files = [stateDirectory, runDirectory].flatMap((root) =>
    readdirSync(root, { recursive: true, encoding: 'utf8' }).map((name) => join(root, name)),
  );
  const withSecret = files.filter((file) => {
    if (!statSync(file).isFile()) return false;
    const text = readFileSync(file, 'latin1');
    return FORMS.some((form) => text.includes(form));
  });
  expect(withSecret.filter((file) => !file.endsWith('.pgpass'))).toEqual([]);
  for (const file of withSecret) expect(statSync(file).mode & 0o777).toBe(0o600);
  return withSecret;
}

describe('programs that need a password', () => {
  it('are told where it is: a service file without it, a password file of mode 600, in a directory of mode 700', async () => {
    const context = await migration.context('assess');
    await context.state.client.query(`DELETE FROM ibex.phase WHERE name = 'schema'`);
    await context.close();
    await succeeded('assess');
    const { status, stdout, stderr } = await ibex(['schema']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/^schema: 1 tables defined/);
    const { runDirectory } = migration.config.host;
    expect(expectNoSecret().length).toBeGreaterThan(0);
    expect(statSync(runDirectory).mode & 0o777).toBe(0o700);
    const services = readdirSync(runDirectory).filter((name) => name.endsWith('service.conf'));
    for (const name of services) expect(statSync(join(runDirectory, name)).mode & 0o777).toBe(0o600);
    expect(services.length).toBeGreaterThan(0);
  });

  it('report and status say nothing of it either', async () => {
    const answers = await Promise.all([ibex(['report']), ibex(['status'])]);
    for (const { status, stdout } of answers) {
      expect(status).toBe(0);
      expect(JSON.parse(stdout)).toBeTruthy();
      for (const form of FORMS) expect(stdout).not.toContain(form);
    }
  });

  it('the program refuses a secret that others may read', async () => {
    const file = join(migration.secrets, 'source');
    spawnSync('chmod', ['644', file]);
    try {
      const { status, stderr } = await ibex(['cleanup']);
      expect({ status, stderr }).toEqual({
        status: 1,
        stderr: 'ibex: secret source cannot be read: file mode is 644, others may read it; make it 600\n',
      });
    } finally {
      spawnSync('chmod', ['600', file]);
    }
  });
});
