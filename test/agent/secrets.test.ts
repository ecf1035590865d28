import { readLogin, type Login } from '../../assets/agent/secrets';
import { json, refusal, startAws, type AwsAnswer, type AwsServer } from '../helpers/aws-calls';

const ARN = 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop-AbCdEf';
const LOGIN = { username: 'mover', password: `it's "a" @:/=%#`, host: 'db.example.org', port: 5433, dbname: 'shop' };

/** What Secrets Manager answers, in this order. */
let answers: AwsAnswer[];
let aws: AwsServer;
beforeEach(async () => {
  answers = [];
  aws = await startAws(() => answers.shift() ?? refusal('UnexpectedCall'));
});
afterEach(() => aws.close());

const secret = (text: string): AwsAnswer => json({ SecretString: text });
const read = (): Promise<Login> => readLogin({ kind: 'aws', region: 'eu-west-1' }, ARN);

test('a login is asked for by its ARN, and read whatever its password is made of', async () => {
  answers.push(secret(JSON.stringify(LOGIN)));
  expect(await read()).toEqual(LOGIN);
  expect(aws.calls).toEqual([{ operation: 'secretsmanager.GetSecretValue', body: JSON.stringify({ SecretId: ARN }) }]);
});

test('what RDS leaves out is left out', async () => {
  answers.push(secret(JSON.stringify({ username: 'master', password: 'x' })));
  expect(await read()).toEqual({ username: 'master', password: 'x' });
});

test('a call that is throttled, or that the service fails, is repeated', async () => {
  answers.push(refusal('ThrottlingException'), refusal('InternalServiceError', 'no', 500));
  answers.push(secret(JSON.stringify(LOGIN)));
  expect(await read()).toEqual(LOGIN);
  expect(aws.calls).toHaveLength(3);
});

test.each(['AccessDeniedException', 'ResourceNotFoundException'])(
  '%s is told with the secret it is about',
  async (type) => {
    answers.push(refusal(type, `${type} of ${ARN}`));
    await expect(read()).rejects.toThrow(`secret ${ARN} cannot be read: ${type} of ${ARN}`);
    expect(aws.calls).toHaveLength(1);
  },
);

test('a secret as the stack makes it, a random text, is not filled; its text is not told', async () => {
  answers.push(secret('Xq8randomtext'));
  const refused = await read().catch((error: Error) => error.message);
  expect(refused).toMatch(new RegExp(`^secret ${ARN} is not filled`));
  expect(refused).not.toContain('Xq8');
});
