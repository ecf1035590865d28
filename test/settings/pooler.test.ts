import { resolveSettings, type MigrationSettings, type PoolerSettings } from '../../lib/settings';
import { leastSettings } from '../helpers/app';
import { mistakesOf } from '../helpers/settings';

const secret = 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop';

const withPooler = (
  pooler: PoolerSettings | Record<string, unknown>,
  { logins = { shop: secret }, endpoint = {} }: { logins?: Record<string, string>; endpoint?: object } = {},
) => ({
  ...leastSettings,
  endpoint: { ...leastSettings.endpoint, ...endpoint, pooler },
  agent: { applicationLogins: logins },
});

test('there is no pooler unless it is asked for', () => {
  expect(resolveSettings(leastSettings).endpoint).not.toHaveProperty('pooler');
});

test('a pooler that is only asked for gets every default', () => {
  expect(resolveSettings(withPooler({}) as MigrationSettings).endpoint.pooler).toEqual({
    port: 6432,
    instanceType: 'c6i.large',
    image: { ssmParameter: '/aws/service/debian/release/13/latest/amd64' },
    connectionsPerLogin: 40,
    maxClients: 2000,
  });
});

test.each([
  ['with a source', { source: { host: 'old.example.org', database: 'shop' } }, [], 'must name {"kind": "pooler"}'],
  ['without a source', {}, [{ kind: 'pooler' }], 'must not name the pooler without endpoint.pooler.source'],
])('one %s is moved by the cutover, and no other', (_what, pooler, switches, right) => {
  const settings = withPooler(pooler);
  const wrong = { ...settings, agent: { ...settings.agent, cutover: { switches } } };
  expect(mistakesOf(wrong)).toEqual([expect.stringContaining(right)]);
});

test('without logins no application could connect', () => {
  expect(mistakesOf(withPooler({}, { logins: {} }))).toEqual([
    expect.stringMatching(/^ {2}agent\.applicationLogins is \{\}; must name the applications' logins/),
  ]);
});

test.each(['ibex_admin', 'pgbouncer'])('an application that logs in as %s would command the pooler', (login) => {
  expect(mistakesOf(withPooler({}, { logins: { [login]: secret } }))).toEqual([
    expect.stringContaining(`agent.applicationLogins.${login}`),
  ]);
});

test.each([
  ['port', { port: 7000 }],
  ['readerPort', { readerPort: 7000 }],
])('its listener cannot have the port of endpoint.%s', (name, endpoint) => {
  const settings = { ...withPooler({ port: 7000 }, { endpoint }), target: { readers: 1 } };
  expect(mistakesOf(settings)).toEqual([expect.stringContaining(`must differ from endpoint.${name}`)]);
});

test.each([
  [30, {}, []],
  [31, {}, [expect.stringContaining('must be at most 30 networks')]],
  [21, { readerPort: 7000 }, [expect.stringContaining('must be at most 20 networks')]],
])('%i networks at every listener fill a security group', (count, endpoint, mistakes) => {
  const allowedCidrs = Array.from({ length: count }, (_, index) => `10.${index}.0.0/16`);
  const settings = { ...withPooler({}, { endpoint: { ...endpoint, allowedCidrs } }), target: { readers: 1 } };
  expect(mistakesOf(settings)).toEqual(mistakes);
});

test.each<[string, Record<string, unknown>]>([
  ['source.host', { source: { host: "db' port=1", database: 'shop' } }],
  ['source.database', { source: { host: 'db.example.org', database: 'shop\n[pgbouncer]' } }],
  ['instanceType', { instanceType: 'c6g.large' }],
  ['instanceType', { instanceType: 'c6i.small' }],
  ['connectionsPerLogin', { connectionsPerLogin: 0 }],
  ['maxClients', { maxClients: 5 }],
  ['certificateSecretArn', { certificateSecretArn: '-----BEGIN CERTIFICATE-----' }],
  ['image.ssmParameter', { image: { ssmParameter: 'debian' } }],
])('a mistake in %s is named', (name, pooler) => {
  expect(mistakesOf(withPooler(pooler))).toEqual([expect.stringContaining(`  endpoint.pooler.${name} is `)]);
});
