import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectionHelp } from '../../../lib/rehearsal/cli/connections';
import { prepareReport, toJson, writeReport } from '../../../lib/rehearsal/cli/report-files';
import { Secrets } from '../../../lib/rehearsal/cli/secrets';
import { awkwardPassword, passwordLine } from '../../../lib/rehearsal/lab/passwords';
import { concludeRehearsal } from '../../../lib/rehearsal/report';
import { outcome } from './outcome';

describe('what a rehearsal writes and shows', () => {
  let directory: string;
  let secrets: Secrets;
  const passwords = [awkwardPassword(), awkwardPassword()];

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'ibex-report-'));
    const file = join(directory, 'pgpass');
    writeFileSync(file, passwords.map((password) => `${passwordLine({ user: 'a:b', password })}\n`).join(''));
    secrets = Secrets.ofFile(file);
  });

  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  test.each([
    ['as it is', (password: string) => password],
    ['in JSON', (password: string) => JSON.stringify(password)],
    ['in an address', (password: string) => `postgresql://a:${encodeURIComponent(password)}@b/c`],
    ['in SQL', (password: string) => `'${password.replaceAll("'", "''")}'`],
    ['in a password file', (password: string) => passwordLine({ user: 'a', password })],
  ])('holds no password: %s', (_how, quote) => {
    const hidden = secrets.hideIn({ list: passwords.map((password) => `so ${quote(password)}!`) });
    const runs = passwords.flatMap((password) => password.split(/[^0-9a-f]+/).filter((run) => run.length === 12));
    expect(runs).toHaveLength(4);
    for (const run of runs) expect(JSON.stringify(hidden)).not.toContain(run);
    expect(secrets.found).toBe(2);
  });

  test('is not changed where there is no password', () => {
    const report = concludeRehearsal(outcome());
    expect(secrets.hideIn(report)).toEqual(report);
    expect(secrets.found).toBe(0);
  });

  test('is report.json, a page for people, and the logs of the host program beside it', () => {
    const [out, logs] = [join(directory, 'out'), join(directory, 'logs')];
    mkdirSync(logs);
    writeFileSync(join(logs, 'dump.jsonl'), `{"msg":"${JSON.stringify(passwords[0]).slice(1, -1)}"}\n`);
    prepareReport(out);
    const report = concludeRehearsal(outcome());
    expect(writeReport(out, report, logs, secrets)).toBe(join(out, 'report.json'));
    expect(JSON.parse(readFileSync(join(out, 'report.json'), 'utf8'))).toEqual(JSON.parse(toJson(report)));
    expect(readdirSync(out)).toEqual(['log', 'report.html', 'report.json']);
    expect(readFileSync(join(out, 'log', 'dump.jsonl'), 'utf8')).toMatch(/^\{"msg":"(\(hidden\).*)?"\}\n$/);
  });

  test('is never taken for the result of a later run', () => {
    const out = join(directory, 'out');
    mkdirSync(out);
    for (const name of ['report.json', 'report.html', 'mine.txt']) writeFileSync(join(out, name), 'old');
    prepareReport(out);
    expect(readdirSync(out)).toEqual(['mine.txt']);
  });

  test('tells how to connect by commands that name the password file and no password', () => {
    const server = { host: '127.0.0.1', port: 40_001 } as Parameters<typeof connectionHelp>[0]['source'];
    const [password = ''] = passwords;
    const lines = connectionHelp({
      directory: '/tmp/lab',
      source: server,
      target: { ...server, port: 40_002 },
      hostPostgres: { ...server, host: '/tmp/lab/host socket' },
      application: { host: '127.0.0.1', port: 40_003, database: 'shop', user: 'shop_app', password },
      passwordFile: '/tmp/lab/pgpass',
      environment: { IBEX_HOME: '/tmp/lab/host', IBEX_CONFIG: '/tmp/lab/host/ibex.json', USER: 'postgres' },
    });
    expect(lines).toContain('  psql -h 127.0.0.1 -p 40003 -U shop_app shop');
    expect(lines).toContain('  export PGPASSFILE=/tmp/lab/pgpass');
    expect(lines).toContain("  psql -h '/tmp/lab/host socket' -p 40001 -U postgres -l");
    expect(secrets.hide(lines.join('\n'))).toBe(lines.join('\n'));
  });
});
