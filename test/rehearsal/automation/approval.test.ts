import type { ApprovalRequest } from '../../../lib/rehearsal/automation/actions/approve';
import { fastSleep, names, runSteps, script, step } from './account';

const TOPIC = 'arn:aws:sns:eu-central-1:123456789012:AutomationIbex';

const ask = (inputs = 'Approvers: [anna]', more = ''): string =>
  [`  - { name: ask, action: aws:approve, inputs: { ${inputs} }${more} }`, script('cutover', 'true')].join('\n');

describe('aws:approve', () => {
  test('goes on when approved, having asked those it names', async () => {
    const asked: ApprovalRequest[] = [];
    const result = await runSteps(
      ask(`Approvers: [anna, ben], Message: 'From {{ global:REGION }}', NotificationArn: '${TOPIC}'`),
      {
        approve: async (request) => {
          asked.push(request);
          return 'Approved';
        },
      },
    );
    expect(result.status).toBe('Success');
    expect(asked).toMatchObject([
      { documentName: 'main', step: 'ask', message: 'From eu-central-1', approvers: ['anna', 'ben'], topicArn: TOPIC },
    ]);
  });

  test('fails when rejected, and the steps behind it do not run', async () => {
    const result = await runSteps(ask(), { approve: async () => 'Rejected' });
    expect(names(result)).toEqual(['ask']);
    expect(result.status).toBe('Failed');
    expect(step(result, 'ask').outputs['ApprovalStatus']).toBe('Rejected');
  });

  test('waits for 7 days and then ends as TimedOut', async () => {
    const waits: number[] = [];
    const result = await runSteps(ask(), { sleep: async (milliseconds) => void waits.push(milliseconds) });
    expect(waits).toEqual([7 * 24 * 3600 * 1000]);
    expect(result.status).toBe('TimedOut');
    expect(names(result)).toEqual(['ask']);
  });

  test('waits as long as timeoutSeconds says', async () => {
    const result = await runSteps(ask('Approvers: [anna]', ', timeoutSeconds: 60'), { sleep: fastSleep });
    expect(step(result, 'ask').failureMessage).toBe('Step ask timed out after 60 seconds.');
  });

  test.each([
    [`Approvers: [${Array.from({ length: 11 }, (_, n) => `u${n}`).join(', ')}]`, '11 approvers; 1 to 10'],
    ['Approvers: [anna], MinRequiredApprovals: 2', 'MinRequiredApprovals 2 of 1'],
    [`Approvers: [anna], Message: '${'x'.repeat(4097)}'`, '4097 characters; 4096'],
    [`Approvers: [anna], NotificationArn: 'arn:aws:sns:eu-central-1:123456789012:Ibex'`, 'begins with Automation'],
  ])('fails on %s', async (inputs, problem) => {
    const result = await runSteps(ask(inputs), { approve: async () => 'Approved' });
    expect(result.status).toBe('Failed');
    expect(result.failureMessage).toContain(problem);
  });
});
