import { chownSync, mkdtempSync, rmSync, chmodSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { Template as Assertions } from 'aws-cdk-lib/assertions';
import type { ConsoleLogin } from '../../assets/agent/switch/console';
import { Authority } from '../../lib/rehearsal/boot/authority';
import { freePorts } from '../../lib/rehearsal/lab/ports';
import { debian13 } from '../../lib/rehearsal/pooler/debian-13';
import { PoolerMachine } from '../../lib/rehearsal/pooler/machine';
import { Template, type TemplateJson } from '../../lib/rehearsal/template';
import type { PoolerConfiguration } from '../../lib/pooler/configuration';
import { leastSettings, propertiesOf, stacksOf } from '../helpers/app';
import { startPostgres, type TestPostgres } from '../helpers/postgres';

const arn = (name: string): string => `arn:aws:secretsmanager:eu-west-1:123456789012:secret:${name}`;

/** Passwords of the applications; each breaks another way of quoting. */
export const LOGINS: Readonly<Record<string, string>> = {
  shop: `it's "a" @:/=%# \\ $1`,
  'Billing App': 'p"":\\;\\: ü',
};
export const CONSOLE: ConsoleLogin = { username: 'ibex_admin', password: 'console' };
export const DATABASE = 'app';
/** What the settings give the pause; the pooler's own end of one is counted from it. */
export const BUDGET_SECONDS = 1;

/** Configuration of the template, whose settings name these logins. */
function synthesized(): PoolerConfiguration {
  const { target } = stacksOf({
    ...leastSettings,
    source: { version: 11, reach: 'public', cidrs: 'anywhere', sslmode: 'require' },
    endpoint: { ...leastSettings.endpoint, pooler: { source: { host: 'old.example.org', database: 'app' } } },
    agent: {
      applicationLogins: Object.fromEntries(Object.keys(LOGINS).map((login, index) => [login, arn(`login${index}`)])),
      cutover: { budgetSeconds: BUDGET_SECONDS, switches: [{ kind: 'pooler' }] },
    },
  });
  const template = Assertions.fromStack(target);
  const { Value } = propertiesOf<{ Value: unknown }>(template, 'AWS::SSM::Parameter', /^PoolerConfiguration/);
  return JSON.parse(String(new Template(template.toJSON() as TemplateJson).resolve(Value))) as PoolerConfiguration;
}

/** A source of 11 and a target of 17 with the same logins and a pooler before them. */
export interface Setting {
  readonly source: TestPostgres;
  readonly target: TestPostgres;
  readonly machine: PoolerMachine;
  readonly configuration: PoolerConfiguration;
  readonly ports: { readonly clients: number; readonly console: number };
  /** Every secret as it was at first; the pooler's list follows at its next look. */
  secrets(): void;
  stop(): Promise<void>;
}

export async function startSetting(): Promise<Setting> {
  const base = await debian13((line) => process.stderr.write(`${line}\n`));
  const directory = mkdtempSync(join(dirname(dirname(base)), '.test-pooler-'));
  chmodSync(directory, 0o755);
  const authority = await Authority.create(directory);
  const uid = Number(execFileSync('id', ['-u', 'postgres'], { encoding: 'utf8' }));
  const tls = async (name: string): Promise<Record<string, string>> => {
    const { key, certificate } = await authority.issue(name, [name]);
    chownSync(key, uid, uid);
    chmodSync(key, 0o600);
    return { ssl: 'on', ssl_key_file: key, ssl_cert_file: certificate };
  };
  const server = async (version: 11 | 17, name: string): Promise<TestPostgres> =>
    startPostgres({ version, password: 'superuser', settings: await tls(name) });
  const [source, target] = [await server(11, 'source.test'), await server(17, 'target.test')];
  for (const each of [source, target]) await prepare(each);

  const [clients = 0, console = 0] = await freePorts(2);
  const given = synthesized();
  const configuration: PoolerConfiguration = {
    ...given,
    sides: {
      source: { ...given.sides.source!, host: 'source.test', port: source.port },
      target: { ...given.sides.target, host: 'target.test', port: target.port },
    },
  };
  const machine = await PoolerMachine.create({
    base,
    directory: join(directory, 'machine'),
    configuration,
    ports: { clients, console },
    hosts: { 'source.test': source.host, 'target.test': target.host },
    authority: authority.pem,
  });
  const secrets = (): void => {
    for (const [login, password] of Object.entries(LOGINS)) {
      machine.secret(configuration.logins[login] ?? '', { username: login, password });
    }
    machine.secret(configuration.consoleSecret, CONSOLE);
  };
  secrets();
  machine.side('source');
  return {
    source,
    target,
    machine,
    configuration,
    ports: { clients, console },
    secrets,
    stop: async () => {
      await machine.remove();
      await Promise.all([source.stop(), target.stop()]);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function prepare(server: TestPostgres): Promise<void> {
  const admin = await server.connect();
  await admin.query(`CREATE DATABASE ${DATABASE}`);
  for (const [login, password] of Object.entries(LOGINS)) {
    await admin.query(`CREATE ROLE ${admin.escapeIdentifier(login)} LOGIN PASSWORD ${admin.escapeLiteral(password)}`);
  }
  await admin.end();
  const owner = await server.connect(DATABASE);
  await owner.query('CREATE TABLE written (client text, number int, PRIMARY KEY (client, number))');
  await owner.query('GRANT ALL ON written TO PUBLIC');
  await owner.end();
}
