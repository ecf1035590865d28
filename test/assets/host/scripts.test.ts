import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, Stack } from 'aws-cdk-lib';
import { ROOT } from '../../../lib/bundle';
import { hostPackage } from '../../../lib/host-package';

const HOST = join(ROOT, 'assets', 'host');
const scripts = readdirSync(HOST).filter((name) => name.endsWith('.sh'));
test('there are scripts to look at', () =>
  expect(scripts.sort()).toEqual(['bootstrap.sh', 'install.sh', 'metrics.sh', 'profile.sh']));

describe.each(scripts)('%s', (name) => {
  test('parses', () => {
    const { status, stderr } = spawnSync('bash', ['-n', join(HOST, name)], { encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });

  test('stops at the first error', () => {
    expect(readFileSync(join(HOST, name), 'utf8')).toContain('\nset -euo pipefail\n');
  });

  test('is clean for shellcheck', () => {
    const { status, stdout } = spawnSync('shellcheck', [join(HOST, name)], { encoding: 'utf8' });
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
  });
});

describe('what all bootstraps share', () => {
  const common = join(ROOT, 'assets', 'bootstrap', 'common.sh');

  test('stops at the first error, and is clean for shellcheck', () => {
    expect(readFileSync(common, 'utf8')).toContain('\nset -euo pipefail\n');
    const { status, stdout } = spawnSync('shellcheck', [common], { encoding: 'utf8' });
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
  });
});

describe('the bootstrap script', () => {
  const script = readFileSync(join(HOST, 'bootstrap.sh'), 'utf8');
  const common = readFileSync(join(ROOT, 'assets', 'bootstrap', 'common.sh'), 'utf8');

  test('finds the volume by its id, never by a device number', () => {
    expect(script).toContain('/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_');
    expect(script.replace(/#.*/g, '')).not.toMatch(/\/dev\/nvme\d/);
  });

  test('takes packages of the PostgreSQL project by a key of its own file, and nothing else from there', () => {
    expect(script).toContain('Signed-By: $KEY');
    expect(script).toContain('Pin-Priority: -1');
    expect(script).not.toMatch(/trusted=yes|allow-unauthenticated|curl[^\n]*\|\s*(sudo )?(ba)?sh/i);
  });

  test('says which value is missing', () => {
    const { status, stderr } = spawnSync('bash', [join(HOST, 'bootstrap.sh')], {
      encoding: 'utf8',
      env: { PATH: '/usr/bin:/bin' },
    });
    expect(status).not.toBe(0);
    expect(stderr).toContain('IBEX_REGION');
  });

  describe('tells CloudFormation', () => {
    const functions = `${common.slice(common.indexOf('signal() {'), common.indexOf('exec >>'))}trap ended EXIT`;
    let directory: string;
    let server: Server;
    const told: { method: string | undefined; type: string | undefined; body: Record<string, string> }[] = [];
    const answers: number[] = [];

    beforeAll(async () => {
      directory = mkdtempSync(join(tmpdir(), 'ibex-signal-'));
      server = createServer((request, response) => {
        let body = '';
        request.on('data', (chunk: Buffer) => (body += chunk.toString()));
        request.on('end', () => {
          told.push({ method: request.method, type: request.headers['content-type'], body: JSON.parse(body) });
          response.writeHead(answers.shift() ?? 200).end();
        });
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    });

    afterAll(async () => {
      await new Promise((resolve) => server.close(resolve));
      rmSync(directory, { recursive: true });
    });

    /** Runs lines with the script's functions. @returns exit status and log */
    const run = async (...lines: string[]): Promise<{ status: number; log: string }> => {
      const log = join(directory, 'log');
      writeFileSync(log, 'first\nE: "quoted" \\ and \t tab\n');
      const { port } = server.address() as AddressInfo;
      const text = ['set -euo pipefail', `LOG=${log} step=packages`, functions, 'exec >>"$LOG" 2>&1', ...lines].join(
        '\n',
      );
      told.length = 0;
      const status = await new Promise<number>((resolve) => {
        const env = { PATH: process.env['PATH'], IBEX_SIGNAL_URL: `http://127.0.0.1:${port}/?Signature=a%2Fb` };
        execFile('bash', ['-c', text], { env }, (error) => resolve(error ? Number(error.code) : 0));
      });
      return { status, log: readFileSync(log, 'utf8') };
    };

    test('which step failed and why, in JSON that parses whatever the log holds', async () => {
      expect((await run('false')).status).toBe(1);
      expect(told).toEqual([
        {
          method: 'PUT',
          type: '',
          body: expect.objectContaining({ Status: 'FAILURE', UniqueId: 'bootstrap' }) as unknown,
        },
      ]);
      expect(told[0]?.body['Reason']).toMatch(/^packages failed with status 1: first E: "quoted" \\ and tab/);
    });

    test('again, when it does not take the signal the first time', async () => {
      answers.push(503);
      expect((await run('signal SUCCESS ready', 'trap - EXIT')).status).toBe(0);
      expect(told.map(({ body }) => body['Status'])).toEqual(['SUCCESS', 'SUCCESS']);
    });

    test('once, when the address is not valid any more', async () => {
      answers.push(403);
      const { status, log } = await run('trap - EXIT', 'signal SUCCESS ready');
      expect([status, told.length]).toEqual([1, 1]);
      expect(log).toContain('the signal was not taken: HTTP Error 403');
    });
  });
});

describe('the install script', () => {
  const script = readFileSync(join(HOST, 'install.sh'), 'utf8');

  test('finds in the package whatever it puts in place', () => {
    const app = new App();
    const { assetPath } = hostPackage(new Stack(app, 'Test'), 'Program');
    const wanted = [...script.matchAll(/"\$package\/([\w./]+)"/g)].map(([, file = '']) => file);
    expect(wanted).toContain('sysctl.conf');
    expect(wanted.filter((file) => !existsSync(join(app.outdir, assetPath, file)))).toEqual([]);
    rmSync(app.outdir, { recursive: true });
  });

  test('has the kernel give up a server that vanished in the midst of a statement after some 100 s', () => {
    expect(readFileSync(join(HOST, 'sysctl.conf'), 'utf8')).toMatch(/^net\.ipv4\.tcp_retries2 = 8$/m);
    expect(script).toContain(
      '"$package/sysctl.conf" /etc/sysctl.d/60-ibex.conf\nsystemctl restart systemd-sysctl.service',
    );
  });
});

describe('the figures of each minute', () => {
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'ibex-metrics-'));
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  /** Runs the script with stand-ins for what it calls. @returns what CloudWatch was told, by name */
  function tell(ibex: string): Record<string, string> {
    const stub = (name: string, lines: string): void =>
      writeFileSync(join(directory, name), `#!/usr/bin/env bash\n${lines}\n`, { mode: 0o755 });
    stub('curl', 'case $* in *instance-id*) echo i-1 ;; *region*) echo eu-west-1 ;; *) echo token ;; esac');
    stub('df', 'printf "Use%%\\n 42%%\\n"');
    stub('aws', `printf '%s\\n' "$@" >'${directory}/told'`);
    stub('ibex', ibex);
    const env = { PATH: `${directory}:/usr/bin:/bin` };
    const { status, stderr } = spawnSync('bash', [join(HOST, 'metrics.sh')], { encoding: 'utf8', env });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const found = readFileSync(join(directory, 'told'), 'utf8').matchAll(
      /^MetricName=(\w+),Unit=(\w+),Value=(\d+),Dimensions=\[\{Name=InstanceId,Value=i-1\}\]$/gm,
    );
    return Object.fromEntries([...found].map(([, name, unit, value]) => [name, `${value} ${unit}`]));
  }

  test('are those of the machine and those of the sync', () => {
    expect(tell('[ "$1" = metrics ] && printf "SyncBehind Seconds 7\\nSyncProblems Count 0\\n"')).toEqual({
      DataVolumeUsed: '42 Percent',
      MemoryUsed: expect.stringMatching(/^\d+ Percent$/) as string,
      SyncBehind: '7 Seconds',
      SyncProblems: '0 Count',
    });
  });

  test('are told of the machine where the program cannot answer', () => {
    expect(Object.keys(tell('exit 1'))).toEqual(['DataVolumeUsed', 'MemoryUsed']);
  });
});
