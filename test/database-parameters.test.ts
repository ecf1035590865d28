import {
  DATABASE_PARAMETERS,
  profileParameters,
  templateParameters,
  type ParameterLevel,
  type Profile,
} from '../lib/database-parameters';

const engines = ['aurora-postgresql', 'postgres'] as const;
const levels: readonly ParameterLevel[] = ['cluster', 'instance'];
const profiles: readonly Profile[] = ['load', 'serve'];
const template = (engine: (typeof engines)[number]): Record<string, string> =>
  Object.assign({}, ...levels.map((level) => templateParameters(engine, level))) as Record<string, string>;

test.each(DATABASE_PARAMETERS)('$name has a reason', ({ reason }) => expect(reason).toMatch(/^[A-Z].{15,}\.$/));

test.each(engines)('%s: durability is never given up, in the template or in a profile', (engine) => {
  for (const profile of profiles) {
    for (const level of levels) {
      const inForce = { ...templateParameters(engine, level), ...profileParameters(engine, level, profile) };
      expect(inForce).not.toHaveProperty('fsync');
      expect(inForce).not.toHaveProperty('full_page_writes');
      expect(inForce['synchronous_commit'] ?? 'on').toBe('on');
    }
  }
  expect(template(engine)).toMatchObject({ synchronous_commit: 'on', 'rds.force_ssl': '1', tcp_keepalives_idle: '30' });
});

test('Aurora is given no parameter that it does not have', () => {
  for (const name of ['max_wal_size', 'min_wal_size', 'checkpoint_timeout', 'checkpoint_completion_target']) {
    expect(Object.keys(template('aurora-postgresql'))).not.toContain(name);
  }
  expect(template('postgres')).toMatchObject({ max_wal_size: '4096', checkpoint_timeout: '300' });
});

test('triggers and foreign keys of the applications stay on', () => {
  expect(DATABASE_PARAMETERS.map(({ name }) => name)).not.toContain('session_replication_role');
});

test('RDS for PostgreSQL has all of it in its one group', () => {
  expect(templateParameters('postgres', 'cluster')).toEqual({});
  expect(profileParameters('postgres', 'cluster', 'load')).toEqual({});
});

test('profiles differ in dynamic values only, so that switching never needs a restart', () => {
  const differing = DATABASE_PARAMETERS.filter(({ load }) => load !== undefined);
  expect(differing.filter(({ applies }) => applies === 'static')).toEqual([]);
  expect(differing.length).toBeGreaterThan(3);
});

test.each(engines)(
  '%s: the template carries what serve sets, so that a reset group is fit for the applications',
  (engine) => {
    for (const level of levels) {
      expect(templateParameters(engine, level)).toMatchObject(profileParameters(engine, level, 'serve'));
    }
  },
);

test.each(engines)('%s: both profiles set the same names, so that a switch leaves nothing behind', (engine) => {
  for (const level of levels) {
    const [load, serve] = profiles.map((profile) => profileParameters(engine, level, profile));
    expect(Object.keys(load ?? {})).toEqual(Object.keys(serve ?? {}));
    for (const name of Object.keys(load ?? {})) expect(load?.[name]).not.toBe(serve?.[name]);
  }
});
