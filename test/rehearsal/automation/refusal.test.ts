import { account, runbook, runSteps, script, scratch } from './account';
import { existsSync } from 'node:fs';

const approve = (inputs: string, more = ''): string =>
  `  - { name: ask, action: aws:approve, inputs: { ${inputs} }${more} }`;
const sleep = (more: string): string => `  - { name: rest, action: aws:sleep, inputs: { Duration: PT1S }${more} }`;

describe('a runbook is refused before any of its steps runs', () => {
  test.each<[string, string, string]>([
    ['an unknown action', '  - { name: x, action: aws:executeScript }', 'action aws:executeScript is not known'],
    ['an unknown input', sleep('').replace('Duration', 'Length'), 'input Length is not known'],
    ['a missing input', '  - { name: x, action: aws:sleep, inputs: {} }', 'input Duration is missing'],
    ['an input of another form', approve('Approvers: anna'), 'Approvers must be of the form strings'],
    ['an unknown property of a step', sleep(', retries: 3'), 'property retries is not known'],
    ['a name with a dash', '  - { name: a-b, action: aws:sleep, inputs: { Duration: PT1S } }', 'a name has letters'],
    ['a name that is used twice', [script('a', 'true'), script('a', 'true')].join('\n'), 'used twice'],
    ['a nextStep that does not exist', sleep(', nextStep: nowhere'), 'there is no step nowhere'],
    ['an onFailure that does not exist', sleep(', onFailure: step:nowhere'), 'there is no step nowhere'],
    ['an unknown onFailure', sleep(', onFailure: Ignore'), 'onFailure Ignore'],
    ['steps in a circle', [script('a', 'true'), script('b', 'true', ['nextStep: a'])].join('\n'), 'a → b → a'],
    ['onCancel where there is none', sleep(', onCancel: Abort'), 'aws:sleep has no onCancel'],
    ['isCritical: false beside Abort', sleep(', isCritical: false'), 'isCritical: false needs'],
    ['nextStep beside Continue', sleep(', onFailure: Continue, nextStep: rest'), 'documented for success only'],
    ['no attempt', sleep(', maxAttempts: 0'), 'maxAttempts 0'],
    ['an approval of more than 30 days', approve('Approvers: [anna]', ', timeoutSeconds: 2592001'), '1 to 2592000'],
    ['a reference to nothing', script('a', 'echo {{ Nothing }}'), '{{ Nothing }} stands for nothing'],
    ['a reference to a later step', [script('a', '{{ b.Output }}'), script('b', 'true')].join('\n'), '{{ b.Output }}'],
    ['a reference to an unknown output', [script('a', 'true'), script('b', '{{ a.Size }}')].join('\n'), '{{ a.Size }}'],
    ['a reference to an unknown variable', script('a', '{{ variable:V }}'), '{{ variable:V }}'],
    ['an unknown system variable', script('a', '{{ global:ACCOUNT }}'), '{{ global:ACCOUNT }}'],
    [
      'a Command document that is not there',
      script('a', 'true').replace('shell', 'other'),
      'no Command document other',
    ],
    ['two instances', script('a', 'true').replace(']', ', i-00000000000000000]'), 'one instance'],
    [
      'an unknown operator',
      `  - { name: x, action: aws:branch, inputs: { Choices: [{ NextStep: x, Variable: a, Matches: b }] } }`,
      'operator Matches',
    ],
  ])('%s', (_, steps, problem) => {
    expect(() => runSteps(steps)).toThrow(problem);
  });

  test('an unknown property of the document', () => {
    expect(() => runSteps(sleep(''), { head: 'files: {}' })).toThrow('property files is not known');
  });

  test('more than 64 KB, the parameters counted', async () => {
    const head = (size: number): string => `description: ${'x'.repeat(size)}\nparameters: { P: { type: String } }`;
    const parameters = { P: 'x'.repeat(500) };
    expect((await runSteps(script('a', 'true'), { head: head(64 * 1024 - 1000), parameters })).status).toBe('Success');
    expect(() => runSteps(script('a', 'true'), { head: head(64 * 1024 - 600), parameters })).toThrow(
      '65536 are allowed',
    );
  });

  test('a mistake in a runbook below it, so that nothing runs half', () => {
    const mark = `${scratch()}/mark`;
    const main = runbook(
      [
        script('first', `touch ${mark}`),
        '  - { name: below, action: aws:executeAutomation, inputs: { DocumentName: child } }',
      ].join('\n'),
    );
    expect(() =>
      account({ main, child: runbook('  - { name: x, action: aws:pause, inputs: {} }') }).start('main'),
    ).toThrow('child: step x: action aws:pause is not known');
    expect(existsSync(mark)).toBe(false);
  });

  test('a name that no document has', () => {
    expect(() => account({}).start('main')).toThrow('there is no runbook main');
  });
});

describe('a mistake that only the run can show fails the step', () => {
  test('an input that has another form than its reference', async () => {
    const result = await runSteps(approve(`Approvers: '{{ Who }}'`), {
      head: 'parameters: { Who: { type: String, default: anna } }',
    });
    expect(result.failureMessage).toContain('Approvers must be of the form strings');
  });

  test('an Integer as a whole value of a command parameter', async () => {
    const result = await runSteps(script('a', '{{ N }}'), { head: 'parameters: { N: { type: Integer, default: 5 } }' });
    expect(result.failureMessage).toContain('a command takes strings only');
  });
});
