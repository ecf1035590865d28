import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readLogin, type Login } from '../../assets/agent/secrets';

const ARN = 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop-AbCdEf';
const LOGIN = { username: 'mover', password: `it's "a" @:/=%#`, host: 'db.example.org', port: 5433, dbname: 'shop' };

/** What Secrets Manager answers: the secret's text, or a refusal by its name and status. */
type Answer = { readonly text: string } | { readonly refusal: string; readonly status: number };

const saved = { ...process.env };
let server: Server;
let asked: unknown[];
let answers: Answer[];

beforeEach(async () => {
  [asked, answers] = [[], []];
  server = createServer((request, response) => {
    let text = '';
    request.on('data', (data: Buffer) => (text += String(data)));
    request.on('end', () => {
      asked.push([request.headers['x-amz-target'], JSON.parse(text)]);
      const answer = answers.shift() ?? { refusal: 'UnexpectedCall', status: 400 };
      const refused = 'refusal' in answer;
      response.writeHead(refused ? answer.status : 200, { 'content-type': 'application/x-amz-json-1.1' });
      response.end(
        JSON.stringify(
          refused ? { __type: answer.refusal, message: `${answer.refusal} of ${ARN}` } : { SecretString: answer.text },
        ),
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  Object.assign(process.env, {
    AWS_ENDPOINT_URL_SECRETS_MANAGER: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
  });
});
afterEach(async () => {
  process.env = { ...saved };
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const read = (): Promise<Login> => readLogin({ kind: 'aws', region: 'eu-west-1' }, ARN);

test('a login is asked for by its ARN, and read whatever its password is made of', async () => {
  answers.push({ text: JSON.stringify(LOGIN) });
  expect(await read()).toEqual(LOGIN);
  expect(asked).toEqual([['secretsmanager.GetSecretValue', { SecretId: ARN }]]);
});

test('what RDS leaves out is left out', async () => {
  answers.push({ text: JSON.stringify({ username: 'master', password: 'x' }) });
  expect(await read()).toEqual({ username: 'master', password: 'x' });
});

test('a call that is throttled, or that the service fails, is repeated', async () => {
  answers.push({ refusal: 'ThrottlingException', status: 400 }, { refusal: 'InternalServiceError', status: 500 });
  answers.push({ text: JSON.stringify(LOGIN) });
  expect(await read()).toEqual(LOGIN);
  expect(asked).toHaveLength(3);
});

test.each(['AccessDeniedException', 'ResourceNotFoundException'])(
  '%s is told with the secret it is about',
  async (refusal) => {
    answers.push({ refusal, status: 400 });
    await expect(read()).rejects.toThrow(`secret ${ARN} cannot be read: ${refusal} of ${ARN}`);
    expect(asked).toHaveLength(1);
  },
);

test('a secret as the stack makes it, a random text, is not filled; its text is not told', async () => {
  answers.push({ text: 'Xq8randomtext' });
  const refused = await read().catch((error: Error) => error.message);
  expect(refused).toMatch(new RegExp(`^secret ${ARN} is not filled`));
  expect(refused).not.toContain('Xq8');
});
