import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../../lib/bundle';
import { CONSOLE_PORT, POOLER_PORT } from '../../../lib/pooler/openings';

const POOLER = join(ROOT, 'assets', 'pooler');
const read = (...path: string[]): string => readFileSync(join(POOLER, ...path), 'utf8');
const scripts = readdirSync(POOLER).filter((name) => name.endsWith('.sh'));
const units = readdirSync(join(POOLER, 'systemd'));
describe.each(scripts)('%s', (name) => {
  test('parses, and stops at the first error', () => {
    const { status, stderr } = spawnSync('bash', ['-n', join(POOLER, name)], { encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(read(name)).toContain('\nset -euo pipefail\n');
  });

  test('is clean for shellcheck', () => {
    const { status, stdout } = spawnSync('shellcheck', [join(POOLER, name)], { encoding: 'utf8' });
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
  });
});

test('ports and paths of the files are those of each other and of the stack', () => {
  expect(read('pgbouncer.ini')).toContain(`listen_port = ${POOLER_PORT}\n`);
  expect(read('stunnel.conf')).toContain(`accept = ${CONSOLE_PORT}\n`);
  expect(read('stunnel.conf')).toContain(`connect = /run/ibex-pooler/.s.PGSQL.${POOLER_PORT}\n`);
});

test('PgBouncer pools transactions, knows prepared statements, demands TLS, and keeps connections alive', () => {
  const lines = read('pgbouncer.ini').split('\n');
  expect(lines).toEqual(
    expect.arrayContaining([
      'pool_mode = transaction',
      'max_prepared_statements = 200',
      'client_tls_sslmode = require',
      'tcp_keepidle = 30',
    ]),
  );
  expect(lines.filter((line) => line.startsWith('auth_query'))).toEqual([]);
});

test('nobody commands over TCP: that is refused before anything is allowed', () => {
  const rules = read('hba.conf')
    .split('\n')
    .filter((line) => line.startsWith('host'))
    .map((line) => line.split(/\s+/).join(' '));
  const allowed = rules.findIndex((rule) => !rule.endsWith(' reject'));
  expect(rules.slice(0, allowed).sort()).toEqual([
    'host all ibex_admin 0.0.0.0/0 reject',
    'host all ibex_admin ::/0 reject',
    'host pgbouncer all 0.0.0.0/0 reject',
    'host pgbouncer all ::/0 reject',
  ]);
  expect(rules.slice(allowed).every((rule) => rule.startsWith('hostssl all all '))).toBe(true);
});

describe.each(units.filter((name) => name.endsWith('.service')))('%s', (name) => {
  const unit = read('systemd', name);

  test('does not run as root, and cannot become it', () => {
    expect(unit).toMatch(/^User=(postgres|stunnel4)$/m);
    expect(unit).toContain('\nNoNewPrivileges=yes\n');
  });

  test('comes back whenever it ends, unless it runs once', () => {
    expect(unit).toMatch(/^(Restart=always|Type=oneshot)$/m);
  });
});

test('the logins are proven by the clock, one value for each period of the alarm', () => {
  const timer = read('systemd', 'ibex-pooler-proof.timer');
  expect(timer).toContain('\nOnCalendar=*:0/5\n');
  expect(read('install.sh')).toContain('ibex-pooler-proof.timer; do');
});

test('the console has a user of its own: that of PgBouncer needs no password at the Unix socket', () => {
  expect(read('systemd', 'ibex-pooler.service')).toContain('\nUser=postgres\n');
  expect(read('systemd', 'ibex-pooler-console.service')).toContain('\nUser=stunnel4\n');
});
