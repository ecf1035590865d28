import type { Context } from '../../../assets/agent/context';
import { automationHook } from '../../../assets/agent/switch/automation';
import type { HookRunner } from '../../../assets/agent/switch/hook';
import { inTime } from '../../../assets/agent/switch/in-time';
import { lambdaHook } from '../../../assets/agent/switch/lambda';
import { json, refusal, startAws, type AwsAnswer, type AwsServer } from '../../helpers/aws-calls';

const context = { config: { migration: 'shop', secrets: { kind: 'aws', region: 'eu-west-1' } } } as Context;

let aws: AwsServer;
/** Answers by operation, one after the other; the last one stays. */
let answers: Record<string, AwsAnswer[]>;

beforeEach(async () => {
  aws = await startAws(({ operation }) => {
    const known = answers[operation] ?? [];
    return (known.length > 1 ? known.shift() : known[0]) ?? refusal('UnknownOperationException', operation);
  });
});
afterEach(() => aws.close());

const run = (hook: HookRunner, ms = 5_000): Promise<void> =>
  inTime('the hook', ms, (time) => hook.run('switch', 'target', time));
const look = (hook: HookRunner, ms = 5_000): Promise<readonly string[]> =>
  inTime('the look', 5_000, (time) => hook.check(ms, time));

describe('a document of Systems Manager', () => {
  const START = 'AmazonSSM.StartAutomationExecution';
  const GET = 'AmazonSSM.GetAutomationExecution';
  const STOP = 'AmazonSSM.StopAutomationExecution';
  const status = (AutomationExecutionStatus: string, FailureMessage?: string): AwsAnswer =>
    json({ AutomationExecution: { AutomationExecutionStatus, FailureMessage } });
  const document = () => automationHook(context, 'rollout');

  test('is started with moment and end, and waited for', async () => {
    answers = { [START]: [json({ AutomationExecutionId: 'id' })], [GET]: [status('InProgress'), status('Success')] };
    await run(document());
    expect(JSON.parse(aws.calls[0]?.body ?? '')).toMatchObject({
      DocumentName: 'rollout',
      Parameters: { Moment: ['switch'], To: ['target'] },
    });
    expect(aws.operations()).toEqual([START, GET, GET]);
  });

  test('acts under the role of the settings', async () => {
    answers = { [START]: [json({ AutomationExecutionId: 'id' })], [GET]: [status('Success')] };
    await run(automationHook(context, 'rollout', 'arn:aws:iam::123456789012:role/rollout'));
    expect(JSON.parse(aws.calls[0]?.body ?? '')).toMatchObject({
      Parameters: { AutomationAssumeRole: ['arn:aws:iam::123456789012:role/rollout'] },
    });
  });

  test('that is throttled is asked again', async () => {
    answers = {
      [START]: [refusal('ThrottlingException'), json({ AutomationExecutionId: 'id' })],
      [GET]: [refusal('ThrottlingException'), status('Success')],
    };
    await run(document());
    expect(aws.operations()).toEqual([START, START, GET, GET]);
  });

  test('that fails says why', async () => {
    answers = { [START]: [json({ AutomationExecutionId: 'id' })], [GET]: [status('Failed', 'step 2: no cluster')] };
    await expect(run(document())).rejects.toThrow('document rollout: Failed: step 2: no cluster (execution id)');
  });

  test('that may not be started is named', async () => {
    answers = { [START]: [refusal('AccessDeniedException', 'not you')] };
    await expect(run(document())).rejects.toThrow(/^document rollout: not you/);
  });

  test('whose start gives no answer is left when its time is over', async () => {
    answers = { [START]: ['hang'] };
    await expect(run(document(), 300)).rejects.toThrow(/took longer than the 0\.3 s/);
  });

  test('that hangs is cancelled, and its end is waited for', async () => {
    answers = {
      [START]: [json({ AutomationExecutionId: 'id' })],
      [GET]: [status('InProgress')],
      [STOP]: [json({})],
    };
    // It takes a moment to end.
    const running = run(document(), 600);
    setTimeout(() => (answers[GET] = [status('Cancelling'), status('Cancelled')]), 700);
    await expect(running).rejects.toThrow(/took longer than the 0\.6 s that it had \(document rollout was cancelled\)/);
    expect(aws.operations()).toContain(STOP);
    expect(aws.operations().at(-1)).toBe(GET);
  });

  test('that cannot be cancelled is named', async () => {
    answers = {
      [START]: [json({ AutomationExecutionId: 'id' })],
      [GET]: [status('InProgress')],
      [STOP]: [refusal('AccessDeniedException')],
    };
    await expect(run(document(), 300)).rejects.toThrow(/could not be cancelled .*look at execution id/);
  });

  test.each<[string, object, string[]]>([
    ['is ready', {}, []],
    ['is of another type', { DocumentType: 'Command' }, ['its type is Command, not Automation']],
    ['is being made', { Status: 'Creating' }, ['its status is Creating']],
    ['takes no end', { Parameters: [{ Name: 'Moment' }] }, ['it has no parameter To']],
  ])('that %s', async (_what, changes, problems) => {
    const described = {
      DocumentType: 'Automation',
      Status: 'Active',
      Parameters: [{ Name: 'Moment' }, { Name: 'To' }],
      ...changes,
    };
    answers = { 'AmazonSSM.DescribeDocument': [json({ Document: described })] };
    await expect(look(document())).resolves.toEqual(problems);
  });
});

describe('a function', () => {
  const INVOKE = 'POST /2015-03-31/functions/rollout/invocations';
  const CONFIGURATION = 'GET /2015-03-31/functions/rollout/configuration';
  const made = (): HookRunner => lambdaHook(context, 'rollout');

  test('is told migration, moment and end', async () => {
    answers = { [CONFIGURATION]: [json({ Timeout: 3 })], [INVOKE]: [json({ moved: true })] };
    await run(made());
    expect(JSON.parse(aws.calls.at(-1)?.body ?? '')).toEqual({ migration: 'shop', moment: 'switch', to: 'target' });
  });

  test('that is throttled is asked again', async () => {
    const throttled = { status: 429, text: JSON.stringify({ __type: 'TooManyRequestsException', message: 'slow' }) };
    answers = { [CONFIGURATION]: [json({ Timeout: 3 })], [INVOKE]: [throttled, json({})] };
    await run(made());
    expect(aws.operations()).toEqual([CONFIGURATION, INVOKE, INVOKE]);
  });

  test('that is refused is named', async () => {
    answers = {
      [CONFIGURATION]: [json({ Timeout: 3 })],
      [INVOKE]: [{ status: 403, text: JSON.stringify({ __type: 'AccessDeniedException', message: 'not you' }) }],
    };
    await expect(run(made())).rejects.toThrow(/^function rollout: .*not you/);
  });

  test('is not begun when it could outlast the time that is left', async () => {
    answers = { [CONFIGURATION]: [json({ Timeout: 30 })], [INVOKE]: [json({})] };
    await expect(run(made())).rejects.toThrow(/was not begun: its time-out of 30 s is longer than the [45]\.\d s/);
    expect(aws.operations()).toEqual([CONFIGURATION]);
  });

  test('that gives no answer is left when its time is over', async () => {
    answers = { [CONFIGURATION]: [json({ Timeout: 1 })], [INVOKE]: ['hang'] };
    await expect(run(made(), 1_300)).rejects.toThrow(/took longer than the 1\.3 s/);
  });

  test.each<[string, object, string[]]>([
    ['is ready', { State: 'Active', Timeout: 5 }, []],
    ['is being made', { State: 'Pending', Timeout: 5 }, ['its state is Pending']],
    ['may run too long', { Timeout: 6 }, ['its own time-out of 6 s is longer than timeoutSeconds']],
  ])('that %s', async (_what, configuration, problems) => {
    answers = { [CONFIGURATION]: [json(configuration)] };
    await expect(look(made())).resolves.toEqual(problems);
  });
});
