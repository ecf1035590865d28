import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { recordedSide, recordSide } from '../../../assets/agent/switch/pooler-side';

const record = { region: 'eu-west-1', parameter: '/ibex/shop/pooler/side' };

interface Call {
  readonly action: string;
  readonly body: Record<string, unknown>;
}

/** What Systems Manager answers: a body, or a refusal by its name and status. */
type Answer = Record<string, unknown> | { readonly refusal: string; readonly status: number };

const saved = { ...process.env };
let server: Server;
let calls: Call[];
let answers: Answer[];

beforeEach(async () => {
  calls = [];
  answers = [];
  server = createServer((request, response) => {
    let text = '';
    request.on('data', (data: Buffer) => (text += String(data)));
    request.on('end', () => {
      const action = String(request.headers['x-amz-target']).replace('AmazonSSM.', '');
      calls.push({ action, body: JSON.parse(text) as Record<string, unknown> });
      const answer = answers.shift() ?? {};
      const refused = 'refusal' in answer;
      response.writeHead(refused ? Number(answer['status']) : 200, { 'content-type': 'application/x-amz-json-1.1' });
      response.end(JSON.stringify(refused ? { __type: answer['refusal'], message: 'no' } : answer));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  Object.assign(process.env, {
    AWS_ENDPOINT_URL_SSM: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
  });
});

afterEach(async () => {
  process.env = { ...saved };
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

test('the side is written over what was recorded', async () => {
  answers.push({ Version: 2 });
  await recordSide(record, 'target');
  expect(calls).toEqual([
    { action: 'PutParameter', body: { Name: record.parameter, Value: 'target', Overwrite: true } },
  ]);
});

test('a throttled record is tried again', async () => {
  answers.push({ refusal: 'ThrottlingException', status: 400 }, { Version: 2 });
  await recordSide(record, 'target');
  expect(calls).toHaveLength(2);
});

test('a refused record names the parameter, and what it means', async () => {
  answers.push({ refusal: 'AccessDeniedException', status: 400 });
  await expect(recordSide(record, 'target')).rejects.toThrow(
    /^parameter \/ibex\/shop\/pooler\/side cannot be set to target: .*a pooler that restarts now goes to the other side/,
  );
});

test('the recorded side is read', async () => {
  answers.push({ Parameter: { Value: 'source' } });
  await expect(recordedSide(record)).resolves.toBe('source');
});

test.each<[string, Answer]>([
  ['that is neither', { Parameter: { Value: 'both' } }],
  ['that is not there', { refusal: 'ParameterNotFound', status: 400 }],
])('a side %s is not guessed', async (_what, answer) => {
  answers.push(answer);
  await expect(recordedSide(record)).rejects.toThrow(/^parameter \/ibex\/shop\/pooler\/side does not tell/);
});
