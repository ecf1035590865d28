import { names, runSteps, scratch, script, step } from './account';

describe('the way from step to step', () => {
  test('goes down the list and ends as Success', async () => {
    const result = await runSteps([script('a', 'true'), script('b', 'true')].join('\n'));
    expect(names(result)).toEqual(['a', 'b']);
    expect(result.status).toBe('Success');
  });

  test('follows nextStep past the steps between', async () => {
    const result = await runSteps(
      [
        script('a', 'true', ['nextStep: c', 'onFailure: step:b']),
        script('b', 'true', ['isEnd: true']),
        script('c', 'true'),
      ].join('\n'),
    );
    expect(names(result)).toEqual(['a', 'c']);
  });

  test('stops at a failed step and fails, since onFailure is Abort unless said otherwise', async () => {
    const result = await runSteps([script('a', 'exit 3'), script('b', 'true')].join('\n'));
    expect(names(result)).toEqual(['a']);
    expect(result.status).toBe('Failed');
    expect(result.failureMessage).toContain('status 3');
  });

  test('goes on after a failed step with onFailure: Continue, and the failure does not count', async () => {
    const result = await runSteps([script('a', 'false', ['onFailure: Continue']), script('b', 'true')].join('\n'));
    expect(names(result)).toEqual(['a', 'b']);
    expect(step(result, 'a').status).toBe('Failed');
    expect(result.status).toBe('Success');
  });

  test('with onFailure: Continue and isCritical: true it goes on, and fails at the end', async () => {
    const result = await runSteps(
      [script('a', 'false', ['onFailure: Continue', 'isCritical: true']), script('b', 'true')].join('\n'),
    );
    expect(names(result)).toEqual(['a', 'b']);
    expect(result.status).toBe('Failed');
  });

  test('a failure that jumps to a last step which succeeds ends as Success: the trap', async () => {
    const result = await runSteps(
      [
        script('restore', 'false', ['onFailure: step:diagnose', 'nextStep: done']),
        script('diagnose', 'true', ['isEnd: true']),
        script('done', 'true'),
      ].join('\n'),
    );
    expect(names(result)).toEqual(['restore', 'diagnose']);
    expect(result.status).toBe('Success');
  });

  test('the same with a last step that fails ends as Failed', async () => {
    const result = await runSteps(
      [
        script('restore', 'false', ['onFailure: step:diagnose', 'nextStep: done']),
        script('diagnose', 'exit 1', ['isEnd: true']),
        script('done', 'true'),
      ].join('\n'),
    );
    expect(result.status).toBe('Failed');
  });

  test('isEnd stops after a step that failed, too, and then the failure of a step that is not critical is lost', async () => {
    const ends = (onFailure: string): ReturnType<typeof runSteps> =>
      runSteps(
        [
          script('ask', 'true', ['onFailure: step:b']),
          script('a', 'false', ['isEnd: true', onFailure]),
          script('b', 'true'),
        ].join('\n'),
      );
    const lost = await ends('onFailure: Continue');
    expect(names(lost)).toEqual(['ask', 'a']);
    expect(lost.status).toBe('Success');
    expect((await ends('onFailure: Abort')).status).toBe('Failed');
  });

  test('tries a step again up to maxAttempts times, and no more', async () => {
    const count = 'echo x >> "$TALLY"; test $(wc -l < "$TALLY") -ge 3';
    const environment = { TALLY: `${scratch()}/tally` };
    const result = await runSteps(script('a', count, ['maxAttempts: 3']), { environment });
    expect(result.status).toBe('Success');
    expect(step(result, 'a').attempts).toBe(3);
    const again = await runSteps(script('a', 'false', ['maxAttempts: 2']), { environment });
    expect(again.status).toBe('Failed');
    expect(step(again, 'a').attempts).toBe(2);
  });
});

describe('aws:branch', () => {
  const branch = (choices: string, more = ''): string =>
    [
      script('ask', 'echo running 5'),
      `  - { name: choose, action: aws:branch, inputs: { Choices: [${choices}]${more} } }`,
      script('first', 'true', ['isEnd: true']),
      script('second', 'true', ['isEnd: true']),
    ].join('\n');
  const taken = async (choices: string, more = ''): Promise<string | undefined> =>
    names(await runSteps(branch(choices, more), { head: 'parameters: { N: { type: Integer, default: 7 } }' })).at(-1);
  const choice = (condition: string): string => `{ NextStep: second, ${condition} }`;

  test.each([
    [`Variable: '{{ ask.Output }}', StartsWith: running`],
    [`Variable: '{{ ask.Output }}', Contains: '5'`],
    [`Variable: '{{ ask.Output }}', EndsWith: "5\\n"`],
    [`Variable: '{{ ask.Status }}', StringEquals: Success`],
    [`Variable: '{{ ask.Status }}', EqualsIgnoreCase: SUCCESS`],
    [`Variable: '{{ N }}', NumericEquals: 7`],
    [`Variable: '{{ N }}', NumericGreater: 6`],
    [`Variable: '{{ N }}', NumericLesser: 8`],
    [`Variable: '{{ N }}', NumericGreaterOrEquals: 7`],
    [`Variable: '{{ N }}', NumericLesserOrEquals: 7`],
    [`Not: { Variable: '{{ ask.Output }}', StartsWith: failed }`],
    [`Or: [{ Variable: '{{ N }}', NumericEquals: 1 }, { Variable: '{{ N }}', NumericEquals: 7 }]`],
    [`And: [{ Variable: '{{ N }}', NumericGreater: 1 }, { Variable: '{{ ask.Status }}', StringEquals: Success }]`],
  ])('%s holds', async (condition) => {
    expect(await taken(choice(condition))).toBe('second');
  });

  test.each([
    [`Variable: '{{ ask.Output }}', StringEquals: running 5`],
    [`Variable: '{{ N }}', NumericGreater: 7`],
    [`And: [{ Variable: '{{ N }}', NumericGreater: 1 }, { Variable: '{{ ask.Status }}', StringEquals: Failed }]`],
    [`Not: { Variable: '{{ ask.Output }}', StartsWith: running }`],
  ])('%s does not hold: the next step in the list follows', async (condition) => {
    expect(await taken(choice(condition))).toBe('first');
  });

  test('takes the first choice that holds, and Default when none does', async () => {
    const yes = `Variable: '{{ N }}', NumericEquals: 7`;
    const no = `Variable: '{{ N }}', NumericEquals: 8`;
    expect(await taken(`{ NextStep: second, ${yes} }, { NextStep: first, ${yes} }`)).toBe('second');
    expect(await taken(`{ NextStep: first, ${no} }`, ', Default: second')).toBe('second');
  });

  test('fails the step when it compares a number with a string', async () => {
    const result = await runSteps(branch(choice(`Variable: '{{ ask.ResponseCode }}', StringEquals: '0'`)));
    expect(result.status).toBe('Failed');
    expect(result.failureMessage).toContain('as strings');
  });
});
