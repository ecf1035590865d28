import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../../../lib/bundle';

const HOST = join(ROOT, 'assets', 'host');
const scripts = readdirSync(HOST).filter((name) => name.endsWith('.sh'));
const shellcheck = spawnSync('shellcheck', ['--version']).error === undefined;

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

  (shellcheck ? test : test.skip)('is clean for shellcheck', () => {
    const { status, stdout } = spawnSync('shellcheck', [join(HOST, name)], { encoding: 'utf8' });
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
  });
});

describe('the bootstrap script', () => {
  const script = readFileSync(join(HOST, 'bootstrap.sh'), 'utf8');

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

  test('tells CloudFormation which step failed and why, in JSON that parses whatever the log holds', () => {
    const directory = mkdtempSync(join(tmpdir(), 'ibex-signal-'));
    try {
      const functions = script.slice(script.indexOf('signal() {'), script.indexOf('begin() {'));
      writeFileSync(join(directory, 'log'), 'first\nE: "quoted" \\ and \t tab\n');
      const run = [
        'set -euo pipefail',
        `LOG=${directory}/log IBEX_SIGNAL_URL=https://signal HOSTNAME=host step=packages`,
        `curl() { while (($# > 1)); do if [[ $1 == --data-binary ]]; then printf '%s' "$2" >${directory}/body; fi; shift; done; }`,
        functions,
        'exec >>"$LOG"',
        'false',
      ].join('\n');
      expect(spawnSync('bash', ['-c', run], { encoding: 'utf8' }).status).toBe(1);
      const body = JSON.parse(readFileSync(join(directory, 'body'), 'utf8')) as Record<string, string>;
      expect(body).toMatchObject({ Status: 'FAILURE', UniqueId: 'bootstrap', Data: 'host' });
      expect(body['Reason']).toMatch(/^packages failed with status 1: first E: quoted and tab/);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
