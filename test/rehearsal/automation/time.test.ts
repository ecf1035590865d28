import { existsSync, readFileSync } from 'node:fs';
import { account, fastSleep, names, runbook, runSteps, scratch, script, step } from './account';
import { until } from '../../helpers/until';

const lives = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
};

/** A script that leaves the process number of its child in $PIDS and then waits for ever. */
const HANG = 'sleep 1000 & echo $! > "$PIDS.new"; mv "$PIDS.new" "$PIDS"; wait';

describe('time-outs', () => {
  test('a step that takes too long ends as TimedOut with its whole process group, and so does the automation', async () => {
    const environment = { PIDS: `${scratch()}/pids` };
    const result = await runSteps([script('a', HANG, ['timeoutSeconds: 300']), script('b', 'true')].join('\n'), {
      environment,
      sleep: fastSleep,
    });
    expect(names(result)).toEqual(['a']);
    expect(step(result, 'a').failureMessage).toBe('Step a timed out after 300 seconds.');
    expect(result.status).toBe('TimedOut');
    await until(() => !lives(Number(readFileSync(environment.PIDS, 'utf8'))));
  });

  test('one that need not succeed is passed over', async () => {
    const result = await runSteps(
      [script('a', 'sleep 1000', ['timeoutSeconds: 10', 'onFailure: Continue']), script('b', 'true')].join('\n'),
      { sleep: fastSleep },
    );
    expect(step(result, 'a').status).toBe('TimedOut');
    expect(result.status).toBe('Success');
  });

  test('a loop that takes too long ends the step within', async () => {
    const result = await runSteps(
      [
        '  - name: poll',
        '    action: aws:loop',
        '    timeoutSeconds: 50',
        '    inputs:',
        `      LoopCondition: { Variable: '{{ wait.Output }}', StartsWith: running }`,
        '      Steps:',
        script('wait', 'sleep 1000').replaceAll(/^/gm, '      '),
      ].join('\n'),
      { sleep: fastSleep },
    );
    expect(result.status).toBe('TimedOut');
    expect(step(result, 'poll').iterations?.[0]?.[0]?.status).toBe('Cancelled');
  });

  test('aws:sleep takes as long as its Duration says', async () => {
    const slept: number[] = [];
    const result = await runSteps('  - { name: rest, action: aws:sleep, inputs: { Duration: P1DT2H3M4S } }', {
      sleep: async (milliseconds) => void slept.push(milliseconds),
    });
    expect(slept).toEqual([((26 * 60 + 3) * 60 + 4) * 1000]);
    expect(result.status).toBe('Success');
  });

  test.each(['P8D', '10', 'PT', 'P'])('aws:sleep fails on a Duration of %s', async (duration) => {
    const result = await runSteps(`  - { name: rest, action: aws:sleep, inputs: { Duration: '${duration}' } }`);
    expect(result.failureMessage).toContain(duration);
  });
});

describe('cancel', () => {
  test('kills the process group of the running command and ends as Cancelled', async () => {
    const environment = { PIDS: `${scratch()}/pids` };
    const main = runbook([script('a', HANG), script('b', 'true')].join('\n'));
    const execution = account({ main }, { environment }).start('main');
    await until(() => existsSync(environment.PIDS));
    execution.cancel();
    const result = await execution.done;
    expect(result.status).toBe('Cancelled');
    expect(step(result, 'a').status).toBe('Cancelled');
    expect(names(result)).toEqual(['a']);
    await until(() => !lives(Number(readFileSync(environment.PIDS, 'utf8'))));
  });

  test('runs the steps that onCancel names', async () => {
    const environment = { PIDS: `${scratch()}/pids` };
    const steps = [script('a', HANG, ['onCancel: step:tidy', 'isEnd: true']), script('tidy', 'true')].join('\n');
    const execution = account({ main: runbook(steps) }, { environment }).start('main');
    await until(() => existsSync(environment.PIDS));
    execution.cancel();
    const result = await execution.done;
    expect(names(result)).toEqual(['a', 'tidy']);
    expect(result.status).toBe('Cancelled');
  });

  test('reaches the automations below', async () => {
    const environment = { PIDS: `${scratch()}/pids` };
    const main = runbook('  - { name: below, action: aws:executeAutomation, inputs: { DocumentName: child } }');
    const execution = account({ main, child: runbook(script('a', HANG)) }, { environment }).start('main');
    await until(() => existsSync(environment.PIDS));
    execution.cancel();
    const result = await execution.done;
    expect(result.status).toBe('Cancelled');
    expect(step(result, 'below').children?.[0]?.status).toBe('Cancelled');
  });

  test('gives up an approval that nobody answers', async () => {
    const main = runbook('  - { name: ask, action: aws:approve, inputs: { Approvers: [anna] } }');
    const execution = account({ main }).start('main');
    execution.cancel();
    expect((await execution.done).status).toBe('Cancelled');
  });
});
