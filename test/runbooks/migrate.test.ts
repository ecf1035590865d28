import type { ApprovalRequest } from '../../lib/rehearsal/automation/actions/approve';
import { scratch, step } from '../rehearsal/automation/account';
import { parsed, StubHost } from './stub-host';

const BEFORE = ['assess', 'schema', 'capture', 'dump', 'restore', 'sync', 'verify', 'plans', 'ready'];

describe('the runbook migrate', () => {
  test('runs all phases in order, with an approval before cutover and one before cleanup', async () => {
    const host = new StubHost(scratch(), {});
    const asked: [string, string[]][] = [];
    const result = await host.run('migrate', async (request) => {
      asked.push([request.step, host.started()]);
      return 'Approved';
    });
    expect(result.status).toBe('Success');
    expect(host.started()).toEqual([...BEFORE, 'cutover', 'watch', 'cleanup']);
    expect(asked).toEqual([
      ['approveCutover', BEFORE],
      ['approveCleanup', [...BEFORE, 'cutover', 'watch']],
    ]);
  });

  test.each(['stream', 'onetimecopy'])(
    'copies instead of dumping and restoring, when it is told %s',
    async (method) => {
      const host = new StubHost(scratch(), {});
      const result = await host.run('migrate', async () => 'Approved', { CopyMethod: method });
      expect(result.status).toBe('Success');
      const before = BEFORE.filter((phase) => phase !== 'dump' && phase !== 'restore');
      expect(host.started()).toEqual([...before.toSpliced(3, 0, 'copy'), 'cutover', 'watch', 'cleanup']);
    },
  );

  test('takes no other way of copying', () => {
    const host = new StubHost(scratch(), {});
    expect(() => host.run('migrate', async () => 'Approved', { CopyMethod: 'both' })).toThrow(
      'Parameter "CopyMethod" has value "both"',
    );
  });

  test('tells the approver what will happen and what to read first', async () => {
    const asked: ApprovalRequest[] = [];
    await new StubHost(scratch(), {}).run('migrate', async (request) => {
      asked.push(request);
      return 'Approved';
    });
    expect(asked).toHaveLength(2);
    for (const { message, approvers } of asked) {
      expect(message).toContain('What will happen when you approve');
      expect(message).toContain('Read first');
      expect(message.length).toBeLessThanOrEqual(4096);
      expect(approvers).toEqual(['anna']);
    }
  });

  test('tells the host of the approval, with the number of those whom it asked, before the cutover', async () => {
    const host = new StubHost(scratch(), {});
    await host.run('migrate', async () => 'Approved');
    const calls = host.calls();
    const at = calls.findIndex((call) => /^approve 1 approvers of runbook [0-9a-f-]{36}$/.test(call));
    expect(at).toBeGreaterThan(calls.findIndex((call) => call.startsWith('start ready')));
    expect(at).toBeLessThan(calls.findIndex((call) => call.startsWith('start cutover')));
  });

  test('tunes the target for the load before the copy, and for the applications before anybody is asked', async () => {
    const host = new StubHost(scratch(), {});
    const calls: string[][] = [];
    await host.run('migrate', async () => {
      calls.push(host.calls());
      return 'Approved';
    });
    const order = (calls[0] ?? [])
      .filter((call) => /^(profile|start)/.test(call))
      .map((call) => call.replace(/ 0$/, ''));
    expect(order).toEqual([
      ...['assess', 'schema', 'capture'].map((phase) => `start ${phase}`),
      'profile load',
      ...['dump', 'restore', 'sync', 'verify'].map((phase) => `start ${phase}`),
      'profile serve',
      'start plans',
      'start ready',
    ]);
    expect(host.calls().filter((call) => call.startsWith('profile'))).toHaveLength(2);
  });

  test('tells the approver of the cutover which servers wait for a restart', async () => {
    const host = new StubHost(scratch(), {});
    host.setProfile('serve', 'profile serve in force; static values wait for a restart of: shop-1');
    const asked: string[] = [];
    await host.run('migrate', async ({ message }) => {
      asked.push(message);
      return 'Rejected';
    });
    expect(asked).toEqual([expect.stringContaining('static values wait for a restart of: shop-1')]);
  });

  test('asks for no cutover of a target that could not be tuned for the applications', async () => {
    const host = new StubHost(scratch(), {});
    host.setProfile('serve', 'AccessDenied', true);
    const result = await host.run('migrate');
    expect(result.status).toBe('Failed');
    expect(result.failureMessage).toContain('AccessDenied');
    expect(host.started()).toEqual(BEFORE.slice(0, -2));
  });

  test('gives approvals 30 days', () => {
    const waits = parsed('migrate').mainSteps.filter((one) => one.action === 'aws:approve');
    expect(waits.map((one) => one.timeoutSeconds)).toEqual([2_592_000, 2_592_000]);
  });

  test.each(BEFORE)('ends as Failed with %s, and starts nothing after it', async (phase) => {
    const host = new StubHost(scratch(), { [phase]: ['failed'] });
    const result = await host.run('migrate');
    expect(result.status).toBe('Failed');
    expect(result.failureMessage).toContain(`failed ${phase}: the outcome`);
    expect(host.started()).toEqual(BEFORE.slice(0, BEFORE.indexOf(phase) + 1));
  });

  test('ends before the cutover when that is rejected', async () => {
    const host = new StubHost(scratch(), {});
    const result = await host.run('migrate', async () => 'Rejected');
    expect(result.status).toBe('Failed');
    expect(step(result, 'approveCutover').status).toBe('Failed');
    expect(host.started()).toEqual(BEFORE);
  });

  test('cuts over once and does not clean up when the cutover fails', async () => {
    const host = new StubHost(scratch(), { cutover: ['failed'] });
    expect((await host.run('migrate')).status).toBe('Failed');
    expect(host.started()).toEqual([...BEFORE, 'cutover']);
  });

  test('asks for no cleanup after a watch that has moved the writes back', async () => {
    const host = new StubHost(scratch(), { watch: ['failed'] });
    const asked: string[] = [];
    const result = await host.run('migrate', async ({ step: name }) => {
      asked.push(name);
      return 'Approved';
    });
    expect(result.status).toBe('Failed');
    expect(asked).toEqual(['approveCutover']);
    expect(host.started()).toEqual([...BEFORE, 'cutover', 'watch']);
  });

  test('started again after a failure, goes on to the end', async () => {
    const host = new StubHost(scratch(), { restore: ['failed'] });
    expect((await host.run('migrate')).status).toBe('Failed');
    host.setCourses({ assess: 'done', schema: 'done', capture: 'done', dump: 'done', restore: ['succeeded'] });
    expect((await host.run('migrate')).status).toBe('Success');
  });

  test('started again after the cutover, touches no phase before it and asks for the cleanup only', async () => {
    const host = new StubHost(scratch(), {});
    const asked: string[] = [];
    await host.run('migrate', async ({ step: name }) => (name === 'approveCutover' ? 'Approved' : 'Rejected'));
    const before = host.started().length;
    const result = await host.run('migrate', async ({ step: name }) => {
      asked.push(name);
      return 'Approved';
    });
    expect(result.status).toBe('Success');
    expect(asked).toEqual(['approveCleanup']);
    expect(host.calls().filter((call) => call.startsWith('profile'))).toEqual(['profile load', 'profile serve']);
    expect(host.started().slice(before)).toEqual(['watch', 'cleanup']);
  });
});
