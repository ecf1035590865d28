import { runSteps, scratch, script, step } from './account';

/** A loop around one step, as long as that step's output starts with running. */
const loop = (body: string, inputs = 'MaxIterations: 10', more: readonly string[] = []): string =>
  [
    '  - name: poll',
    '    action: aws:loop',
    '    inputs:',
    `      ${inputs}`,
    `      LoopCondition: { Variable: '{{ wait.Output }}', StartsWith: running }`,
    '      Steps:',
    script('wait', body, more).replaceAll(/^/gm, '      '),
  ].join('\n');

describe('aws:loop', () => {
  test('looks at the condition after its steps, and so runs them once at least', async () => {
    const result = await runSteps(loop('echo succeeded'));
    expect(result.status).toBe('Success');
    expect(step(result, 'poll').iterations).toHaveLength(1);
  });

  test('goes on as long as the condition holds', async () => {
    const body = 'echo x >> "$TALLY"; test $(wc -l < "$TALLY") -ge 4 && echo succeeded || echo running';
    const result = await runSteps(loop(body), { environment: { TALLY: `${scratch()}/tally` } });
    expect(step(result, 'poll').iterations).toHaveLength(4);
  });

  test('ends at MaxIterations in silence, as a success, though the condition still holds', async () => {
    const result = await runSteps(loop('echo running', 'MaxIterations: 3'));
    expect(step(result, 'poll').iterations).toHaveLength(3);
    expect(result.status).toBe('Success');
    expect(result.failureMessage).toBeUndefined();
  });

  test('fails with the step within that fails', async () => {
    const result = await runSteps(loop('exit 4'));
    expect(step(result, 'poll').status).toBe('Failed');
    expect(result.status).toBe('Failed');
    expect(result.failureMessage).toContain('status 4');
  });

  test('numbers its iterations from 1 for the steps within', async () => {
    const body = 'test "{{ poll.CurrentIteration }}" = 2 && echo succeeded || echo running';
    const result = await runSteps(loop(body));
    expect(step(result, 'poll').iterations).toHaveLength(2);
  });

  test('fails when a step that failed and was passed over leaves the condition without its output', async () => {
    const result = await runSteps(loop('false', 'MaxIterations: 3', ['onFailure: Continue']));
    expect(result.status).toBe('Failed');
    expect(result.failureMessage).toContain('wait.Output');
  });

  test('tells watchers the iteration of each step', async () => {
    const iterations: (number | undefined)[] = [];
    await runSteps(loop('echo running', 'MaxIterations: 2'), {
      onEvent: (event) => {
        if (event.kind === 'step-started' && event.path.at(-1) === 'wait') iterations.push(event.iteration);
      },
    });
    expect(iterations).toEqual([1, 2]);
  });

  test.each([['MaxIterations: 101'], ['MaxIterations: 0'], ['Iterators: [a, b]']])('refuses %s', async (inputs) => {
    expect(() => runSteps(loop('true', inputs))).toThrow(/step poll: /);
  });

  test('refuses a reference to a step within it from behind it, since AWS documents none', () => {
    const after = script('after', 'echo {{ wait.Output }}');
    expect(() => runSteps([loop('echo done'), after].join('\n'))).toThrow(
      'step after: {{ wait.Output }} stands for nothing',
    );
  });

  test.each([
    [['isEnd: true'], 'isEnd'],
    [['nextStep: poll'], 'nextStep'],
    [['onFailure: step:poll'], 'onFailure'],
  ])('refuses %s within it', (more, problem) => {
    expect(() => runSteps(loop('true', 'MaxIterations: 2', more))).toThrow(problem);
  });
});
