import { leastSettings, propertiesOf, templatesOf, textOf } from './helpers/app';

const arn = 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop-web-AbCdEf';
const { target } = templatesOf({ ...leastSettings, agent: { applicationLogins: { web: arn } } });
const secret = propertiesOf<{ Name: string; SecretString: unknown; KmsKeyId: unknown }>(
  target,
  'AWS::SecretsManager::Secret',
  /^ApplicationSecrets/,
);

test('each login of an application gets a secret with the new address, under our key', () => {
  expect(secret.Name).toBe('ibex/shop/web');
  expect(secret.KmsKeyId).toEqual({ 'Fn::GetAtt': [expect.stringMatching(/^DatabaseKey/), 'Arn'] });
  const text = textOf(secret.SecretString);
  expect(text).toMatch(/"host":"\$\{.*EndpointLoadBalancer.*DNSName.*\}"/);
  expect(text).toContain('"port":"5432"');
  expect(text).toContain('"sslmode":"verify-ca"');
  expect(text).toContain('"dbname":"app"');
  expect(text).toContain('"username":"web"');
});

test('with a pooler it has the address at which the application is moved without an error', () => {
  const pooled = (more: object, pooler: object): string => {
    const stacks = templatesOf({
      ...leastSettings,
      endpoint: { ...leastSettings.endpoint, ...more, pooler: { port: 7000, ...pooler } },
      agent: { applicationLogins: { web: arn } },
    });
    return textOf(
      propertiesOf<{ SecretString: unknown }>(stacks.target, 'AWS::SecretsManager::Secret', /^ApplicationSecrets/)
        .SecretString,
    );
  };
  const plain = pooled({}, {});
  expect(plain).toMatch(/"host":"\$\{.*EndpointLoadBalancer.*DNSName.*\}"/);
  expect(plain).toContain('"port":"7000"');
  expect(plain).toContain('"dbname":"app"');
  expect(plain).toContain('"sslmode":"require"');
  const privateName = { hostedZoneId: 'Z0123456789ABCDEFGHIJ', zoneName: 'shop.internal', recordName: 'db' };
  const named = pooled({ privateName }, { certificateSecretArn: arn });
  expect(named).toContain('"host":"db.shop.internal"');
  expect(named).toContain('"sslmode":"verify-full"');
});

test('its password is a reference that CloudFormation resolves, no value', () => {
  expect(textOf(secret.SecretString)).toContain(
    `"password":"{{resolve:secretsmanager:${arn}:SecretString:password::}}"`,
  );
});

test('it stays with the target, since applications use it', () => {
  target.hasResource('AWS::SecretsManager::Secret', { DeletionPolicy: 'Retain' });
});

test('without such logins there is none', () => {
  templatesOf(leastSettings).target.resourceCountIs('AWS::SecretsManager::Secret', 0);
});
