import { scratch, step } from '../rehearsal/automation/account';
import { RUNBOOKS, StubHost, type Course } from './stub-host';

const PHASES = [...RUNBOOKS.keys()].filter((name) => name !== 'migrate' && name !== 'snapshot');

/** Names of the steps that ran, for a job of this course. */
async function way(phase: string, course: Course): Promise<{ status: string; steps: string[]; host: StubHost }> {
  const host = new StubHost(scratch(), { [phase]: course });
  const result = await host.run(phase);
  return { status: result.status, steps: result.steps.map(({ name }) => name), host };
}

describe.each(PHASES)('the runbook %s', (phase) => {
  test('succeeds with a job that succeeds at once', async () => {
    expect(await way(phase, ['succeeded'])).toMatchObject({
      status: 'Success',
      steps: ['start', 'begun', 'poll', 'look', 'outcome', 'result'],
    });
  });

  test('waits for a job that takes some polls', async () => {
    const { status, host } = await way(phase, ['running', 'running', 'running', 'succeeded']);
    expect(status).toBe('Success');
    expect(host.calls().filter((call) => call.startsWith('status') && !call.endsWith(' 0'))).toHaveLength(4);
    expect(host.started()).toEqual([phase]);
  });

  test('passes quickly over a job that has succeeded before', async () => {
    const { status, steps, host } = await way(phase, 'done');
    expect(status).toBe('Success');
    expect(steps).toEqual(['start', 'begun', 'result']);
    expect(host.calls()).toEqual([`start ${phase} 0`, `result ${phase} 0`]);
  });

  test('fails with a job that fails, in a step that says so and shows the reason', async () => {
    const host = new StubHost(scratch(), { [phase]: ['running', 'failed'] });
    const result = await host.run(phase);
    expect(result.status).toBe('Failed');
    expect(step(result, 'failed').failureMessage).toContain(`failed ${phase}: the outcome`);
    expect(host.started()).toEqual([phase]);
  });

  test('fails, and starts it no second time, when the job cannot be started', async () => {
    const host = new StubHost(scratch(), { [phase]: 'refused' });
    const result = await host.run(phase);
    expect(result.status).toBe('Failed');
    expect(result.failureMessage).toContain('no room on the data volume');
    expect(host.started()).toEqual([phase]);
  });

  test('fails when the host shows no state at all', async () => {
    expect(await way(phase, 'mute')).toMatchObject({ status: 'Failed' });
  });

  test('fails when the host does not answer, after three attempts', async () => {
    const { status, host } = await way(phase, 'offline');
    expect(status).toBe('Failed');
    expect(host.calls().filter((call) => call.startsWith('status'))).toHaveLength(3);
  });
});

test('verify is started with --repair when the runbook is told so, and asked for its state without', async () => {
  const host = new StubHost(scratch(), { verify: ['succeeded'] });
  expect((await host.run('verify', undefined, { Repair: 'true' })).status).toBe('Success');
  expect(host.calls()).toEqual(['start verify 0 --repair', 'status verify 7200', 'status verify 0', 'result verify 0']);
  expect(() => host.run('verify', undefined, { Repair: 'yes' })).toThrow('Repair');
});

test('a job that never ends fails the runbook after 100 polls, in a step of its own that says to start again', async () => {
  const { status, steps, host } = await way('dump', ['running']);
  expect(status).toBe('Failed');
  expect(steps).toEqual(['start', 'begun', 'poll', 'look', 'outcome', 'stillRunning']);
  expect(host.calls().filter((call) => call.startsWith('status'))).toHaveLength(101);
});

test('a job that succeeds just after the last poll is a success', async () => {
  const { status, steps } = await way('dump', [...Array<'running'>(100).fill('running'), 'succeeded']);
  expect(status).toBe('Success');
  expect(steps.at(-1)).toBe('result');
});
