import { bindParameters, parameterProblems } from '../../../lib/rehearsal/automation/parameters';
import { runSteps, script, step } from './account';

const bind = (definition: Parameters<typeof bindParameters>[0][string], value?: unknown): unknown =>
  bindParameters({ P: definition }, value === undefined ? {} : { P: value })['P'];

describe('parameters of an execution', () => {
  test('are what was given, else their default', () => {
    expect(bind({ type: 'String', default: 'a' })).toBe('a');
    expect(bind({ type: 'String', default: 'a' }, 'b')).toBe('b');
  });

  test('that are missing or unknown are refused in the words of AWS', () => {
    expect(() => bind({ type: 'String' })).toThrow(
      'InvalidAutomationExecutionParametersException: Missing required parameter: P in user inputs.',
    );
    expect(() => bindParameters({}, { Q: 'x' })).toThrow('Parameter "Q" is not defined in the document.');
  });

  test('must be among the allowed values', () => {
    const definition = { type: 'String', allowedValues: ['Install', 'Uninstall'] };
    expect(bind(definition, 'Install')).toBe('Install');
    expect(() => bind(definition, 'install')).toThrow(
      'Parameter "P" has value "install" not found in [Install, Uninstall].',
    );
  });

  test('must match the allowed pattern, each item of a list too, and defaults as well', () => {
    const definition = { type: 'String', allowedPattern: '^[a-z]+$' };
    expect(() => bind(definition, 'a; rm')).toThrow('Parameter "P" has value "a; rm" not matching "^[a-z]+$".');
    expect(() => bind({ ...definition, type: 'StringList' }, ['a', '1'])).toThrow('"1" not matching');
    expect(() => bind({ ...definition, default: '1' })).toThrow('"1" not matching');
  });

  test('hold 512 characters and 50 items', () => {
    expect(bind({ type: 'String' }, 'x'.repeat(512))).toHaveLength(512);
    expect(() => bind({ type: 'String' }, 'x'.repeat(513))).toThrow('513 characters; 512 are allowed');
    expect(() => bind({ type: 'StringList' }, Array(51).fill('x'))).toThrow('51 items; 50 are allowed');
  });

  test.each([
    ['String', 5],
    ['Integer', '5'],
    ['Boolean', 'true'],
    ['StringList', 'a'],
    ['StringMap', ['a']],
    ['MapList', [1]],
    ['AWS::EC2::Instance::Id', 'host'],
    ['AWS::IAM::Role::Arn', 'arn:aws:iam::123456789012:user/anna'],
  ])('of type %s are not %p', (type, value) => {
    expect(() => bind({ type }, value)).toThrow(`not of type ${type}`);
  });

  test.each([
    ['AWS::EC2::Instance::Id', 'i-0123456789abcdef0'],
    ['AWS::IAM::Role::Arn', 'arn:aws:iam::123456789012:role/ibex/automation'],
    ['MapList', [{ a: 1 }]],
  ])('of type %s may be %p', (type, value) => {
    expect(bind({ type }, value)).toBe(value);
  });
});

describe('declarations of parameters', () => {
  test.each([
    ['look-ahead', '^(?!a)b$'],
    ['look-behind', '^(?<=a)b$'],
    ['back-reference', '^(a)\\1$'],
    ['possessive quantifier', '^a++$'],
    ['missing anchor', '[a-z]+'],
    ['syntax error', '^[a$'],
  ])('with a pattern that the three engines do not share are refused: %s', (_, allowedPattern) => {
    expect(parameterProblems({ P: { type: 'String', allowedPattern } })).toHaveLength(1);
  });

  test.each([
    ['type', { P: { type: 'SecureString' } }, 'type SecureString is not known'],
    ['property', { P: { type: 'String', pattern: 'x' } }, 'property pattern is not known'],
    ['name', { 'a-b': { type: 'String' } }, 'a name has letters'],
    ['long name', { [`P${'x'.repeat(50)}`]: { type: 'String' } }, 'at most 50'],
  ])('with an unknown %s are refused', (_, definitions, problem) => {
    expect(parameterProblems(definitions as Parameters<typeof parameterProblems>[0]).join()).toContain(problem);
  });

  test('of more than 200 parameters are refused', () => {
    const many = Object.fromEntries(Array.from({ length: 201 }, (_, n) => [`P${n}`, { type: 'String' }]));
    expect(parameterProblems(many)).toEqual(['201 parameters; 200 are allowed']);
  });
});

describe('references', () => {
  test('to parameters, outputs, variables and the system stand for their values', async () => {
    const result = await runSteps(
      [
        script('a', 'printf %s from-a'),
        `  - { name: set, action: aws:updateVariable, inputs: { Name: variable:V, Value: '{{ a.Output }}' } }`,
        script(
          'b',
          'echo "{{ P }} {{ a.Output }} {{a.ResponseCode}} {{ variable:V }} {{ variable:W }} {{ global:REGION }} {{ L }}"',
        ),
        script('c', 'echo "{{ automation:EXECUTION_ID }} {{ global:DATE }} {{ global:DATE_TIME }}"'),
      ].join('\n'),
      {
        head: [
          `parameters: { P: { type: String }, L: { type: StringList, default: [x, y] } }`,
          'variables: { V: { type: String, default: old }, W: { type: String, default: kept } }',
        ].join('\n'),
        parameters: { P: 'given' },
        region: 'eu-north-1',
      },
    );
    // The list keeps its quotes inside a string, as JSON does; the shell takes them away.
    expect(step(result, 'b').outputs['Output']).toBe('given from-a 0 from-a kept eu-north-1 [x,y]\n');
    expect(step(result, 'c').outputs['Output']).toMatch(
      new RegExp(`^${result.id} \\d{4}-\\d\\d-\\d\\d \\d{4}-\\d\\d-\\d\\d_\\d\\d\\.\\d\\d\\.\\d\\d\\n$`),
    );
  });

  test('are not looked for in what replaced a reference', async () => {
    const result = await runSteps(
      [script('a', `printf '{''{ P }}'`), script('b', "echo '{{ a.Output }}'")].join('\n'),
      {
        head: 'parameters: { P: { type: String, default: secret } }',
      },
    );
    expect(step(result, 'b').outputs['Output']).toBe('{{ P }}\n');
  });

  test('to the output of a step that failed fail the step that refers to it', async () => {
    const result = await runSteps(
      [script('a', 'echo out; false', ['onFailure: Continue']), script('b', 'echo {{ a.Output }}')].join('\n'),
    );
    expect(result.status).toBe('Failed');
    expect(result.failureMessage).toContain('a.Output');
  });

  test('in outputs give the value, or the sentence of AWS where the step did not succeed', async () => {
    const failed = await runSteps([script('a', 'echo yes'), script('b', 'false')].join('\n'), {
      head: 'outputs: [a.Output, b.Output]',
    });
    expect(failed.outputs).toEqual({
      'a.Output': 'yes\n',
      'b.Output': 'No output available yet because the step is not successfully executed',
    });
  });
});
