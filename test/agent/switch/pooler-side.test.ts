import { recordedSide, recordSide } from '../../../assets/agent/switch/pooler-side';
import { json, refusal, startAws, type AwsAnswer, type AwsServer } from '../../helpers/aws-calls';

const record = { region: 'eu-west-1', parameter: '/ibex/shop/pooler/side' };

/** What Systems Manager answers, in this order. */
let answers: AwsAnswer[];
let aws: AwsServer;
beforeEach(async () => {
  answers = [];
  aws = await startAws(() => answers.shift() ?? json({}));
});
afterEach(() => aws.close());

test('the side is written over what was recorded', async () => {
  answers.push(json({ Version: 2 }));
  await recordSide(record, 'target');
  expect(aws.operations()).toEqual(['AmazonSSM.PutParameter']);
  expect(JSON.parse(aws.calls[0]?.body ?? '')).toEqual({ Name: record.parameter, Value: 'target', Overwrite: true });
});

test('a throttled record is tried again', async () => {
  answers.push(refusal('ThrottlingException'), json({ Version: 2 }));
  await recordSide(record, 'target');
  expect(aws.calls).toHaveLength(2);
});

test('a refused record names the parameter, and what it means', async () => {
  answers.push(refusal('AccessDeniedException'));
  await expect(recordSide(record, 'target')).rejects.toThrow(
    /^parameter \/ibex\/shop\/pooler\/side cannot be set to target: .*a pooler that restarts now goes to the other side/,
  );
});

test('a service that gives no answer is not waited for', async () => {
  answers.push('hang', 'hang');
  await expect(recordSide(record, 'target', 200)).rejects.toThrow(/cannot be set to target/);
  await expect(recordedSide(record, 200)).rejects.toThrow(/does not tell the poolers' side/);
});

test('the recorded side is read', async () => {
  answers.push(json({ Parameter: { Value: 'source' } }));
  await expect(recordedSide(record)).resolves.toBe('source');
});

test.each<[string, AwsAnswer]>([
  ['that is neither', json({ Parameter: { Value: 'both' } })],
  ['that is not there', refusal('ParameterNotFound')],
])('a side %s is not guessed', async (_what, answer) => {
  answers.push(answer);
  await expect(recordedSide(record)).rejects.toThrow(/^parameter \/ibex\/shop\/pooler\/side does not tell/);
});
