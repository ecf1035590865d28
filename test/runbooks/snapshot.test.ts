import { parse } from 'yaml';
import type { RdsOptions } from '../../lib/rehearsal/aws/rds';
import { RdsServer } from '../../lib/rehearsal/aws/rds-server';
import type { ExecutionResult } from '../../lib/rehearsal/automation/result';
import { account, fastSleep, names, runSteps, scratch, step } from '../rehearsal/automation/account';
import { RUNBOOKS, StubHost } from './stub-host';

let rds: RdsServer;
afterEach(() => rds.close());

/** Runs the runbook against an RDS of these habits. */
async function snapshot(kind: 'cluster' | 'instance', options: RdsOptions = {}): Promise<ExecutionResult> {
  rds = await RdsServer.start(options);
  return account({ main: RUNBOOKS.get('snapshot') ?? '' }, { aws: rds, sleep: fastSleep }).start('main', {
    AutomationAssumeRole: 'arn:aws:iam::123456789012:role/ibex-automation',
    SnapshotKind: kind,
    SnapshotOf: 'shop',
  }).done;
}

describe('the runbook snapshot', () => {
  test.each([
    ['cluster', ['which', 'createOfCluster', 'waitForCluster', 'cluster']],
    ['instance', ['which', 'createOfInstance', 'waitForInstance', 'instance']],
  ] as const)('takes one of a target that is a %s, and waits until it is available', async (kind, steps) => {
    const result = await snapshot(kind, { states: ['creating', 'creating', 'available'] });
    expect(result.status).toBe('Success');
    expect(names(result)).toEqual(steps);
    const [[name, { of, looks }]] = [...rds.snapshots] as [[string, { of: string; at: string; looks: number }]];
    expect([name, of, looks]).toEqual([expect.stringMatching(/^ibex-[0-9a-f-]{36}$/), 'shop', 4]);
  });

  test('fails as soon as the snapshot has failed, and takes no second one', async () => {
    const result = await snapshot('cluster', { states: ['creating', 'failed'] });
    expect(result.status).toBe('Failed');
    expect(step(result, 'cluster').failureMessage).toBe('$.DBClusterSnapshots[0].Status is failed, not available.');
    expect(rds.snapshots.size).toBe(1);
  });

  test('asks again when RDS throttles', async () => {
    expect((await snapshot('instance', { throttled: 2 })).status).toBe('Success');
    expect(rds.calls.slice(0, 3)).toEqual(['CreateDBSnapshot', 'CreateDBSnapshot', 'CreateDBSnapshot']);
  });

  test('gives up a snapshot that does not come', async () => {
    const text = parse(RUNBOOKS.get('snapshot') ?? '') as { mainSteps: { name: string; timeoutSeconds: number }[] };
    expect(text.mainSteps.find(({ name }) => name === 'waitForCluster')?.timeoutSeconds).toBe(86_400);
    rds = await RdsServer.start({ states: ['creating'] });
    rds.snapshots.set('one', { of: 'shop', at: new Date().toISOString(), looks: 0 });
    const wait = `
  - name: wait
    action: aws:waitForAwsResourceProperty
    timeoutSeconds: 10
    inputs: { Service: rds, Api: DescribeDBSnapshots, DBSnapshotIdentifier: one, PropertySelector: '$.DBSnapshots[0].Status', DesiredValues: [available] }`;
    expect(step(await runSteps(wait, { aws: rds, sleep: fastSleep }), 'wait').status).toBe('TimedOut');
  });
});

describe('migrate', () => {
  test('takes a snapshot after the approval, and begins no cutover before it is available', async () => {
    rds = await RdsServer.start({ states: ['creating', 'available'] });
    const host = new StubHost(scratch(), {});
    const taken: number[] = [];
    const approve = async (): Promise<'Approved'> => (taken.push(rds.snapshots.size), 'Approved');
    const result = await host.run('migrate', approve, { Snapshot: 'yes' }, rds);
    expect(result.status).toBe('Success');
    expect(taken).toEqual([0, 1]);
    expect(names(result).slice(names(result).indexOf('approveCutover'))).toEqual(
      expect.arrayContaining(['approveCutover', 'whetherToSnapshot', 'snapshot', 'cutover']),
    );
  });

  test('cuts over nothing when the snapshot fails', async () => {
    rds = await RdsServer.start({ states: ['failed'] });
    const host = new StubHost(scratch(), {});
    const result = await host.run('migrate', async () => 'Approved', { Snapshot: 'yes' }, rds);
    expect(result.status).toBe('Failed');
    expect(host.started()).not.toContain('cutover');
  });
});

describe('a call that is not known here', () => {
  test.each([
    ['Service: ec2, Api: RunInstances', 'Service ec2 is not known'],
    ['Service: rds, Api: DeleteDBCluster', 'Api DeleteDBCluster of rds is not known'],
  ])('%s is refused before anything runs', async (inputs, problem) => {
    rds = await RdsServer.start();
    const text = `\n  - name: call\n    action: aws:executeAwsApi\n    inputs: { ${inputs} }`;
    expect(() => runSteps(text, { aws: rds })).toThrow(problem);
    expect(rds.calls).toEqual([]);
  });
});
