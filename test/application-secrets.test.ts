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
  expect(text).toContain('"dbname":"app"');
  expect(text).toContain('"username":"web"');
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
