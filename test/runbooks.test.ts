import { documentProblems } from '../lib/rehearsal/automation/check-document';
import type { AutomationDocument, Step } from '../lib/rehearsal/automation/document';
import { PHASES } from '../lib/phases';
import { LIMITS } from '../lib/rehearsal/automation/limits';
import { stepsOfLoop } from '../lib/rehearsal/automation/actions/loop';
import { parsed, RUNBOOKS } from './runbooks/stub-host';

const SECRET = /pass(word|phrase)|secret(?!s of)|token|credential|api.?key/i;

const stepsOf = (document: AutomationDocument): readonly Step[] =>
  document.mainSteps.flatMap((step) => [step, ...stepsOfLoop(step)]);

test('there is a runbook for each phase and one for the whole', () => {
  expect([...RUNBOOKS.keys()].sort()).toEqual([...PHASES, 'migrate', 'snapshot'].sort());
});

describe.each([...RUNBOOKS.keys()])('the runbook %s', (name) => {
  const document = parsed(name);
  const parameters = Object.entries(document.parameters ?? {});

  test('is one that AWS accepts: names, targets, references, inputs, limits', () => {
    expect(documentProblems(document)).toEqual([]);
  });

  test('is smaller than 64 KB as it is written, with the largest parameters it can be given', () => {
    const room = parameters.length * (LIMITS.parameterValue + LIMITS.parameterName);
    expect(Buffer.byteLength(RUNBOOKS.get(name) ?? '') + room).toBeLessThan(LIMITS.documentBytes);
  });

  test('tells the operator what it does, needs and takes, how to undo it, and if it may be started again', () => {
    for (const heading of [
      'What it does',
      'What it needs',
      'How long it takes',
      'How to undo it',
      'Safe to start again?',
    ]) {
      expect(document.description).toContain(`**${heading}`);
    }
    expect(
      stepsOf(document)
        .filter((step) => !step.description)
        .map((step) => step.name),
    ).toEqual([]);
    expect(parameters.filter(([, parameter]) => !parameter.description)).toEqual([]);
  });

  test('acts under a role, since without one it would end after 12 hours', () => {
    expect(document.assumeRole).toBe('{{ AutomationAssumeRole }}');
    expect(document.parameters?.['AutomationAssumeRole']?.type).toBe('AWS::IAM::Role::Arn');
  });

  test('lets nothing but a pattern into its strings', () => {
    for (const [, parameter] of parameters.filter(([, { type }]) => type === 'String')) {
      expect(parameter.allowedPattern).toMatch(/^\^.+\$$/);
      expect(new RegExp(parameter.allowedPattern ?? '').test('a"; $(id) `id` | true')).toBe(false);
    }
  });

  test('has no place for a secret', () => {
    expect(parameters.filter(([key, { description = '' }]) => SECRET.test(key) || SECRET.test(description))).toEqual(
      [],
    );
  });

  test('starts nothing a second time by itself: only questions are repeated', () => {
    const repeated = stepsOf(document).filter((step) => (step.maxAttempts ?? 1) > 1);
    for (const step of repeated) expect(step.inputs?.['Parameters']).toMatchObject({ Action: 'status' });
  });

  test('asks for each command with room for its delivery, and logs it', () => {
    for (const step of stepsOf(document).filter((one) => one.action === 'aws:runCommand')) {
      expect(step.timeoutSeconds).toBeGreaterThan(Number(step.inputs?.['TimeoutSeconds']));
      // The host may write to the group of the job document only, and a step of another document has to say so.
      const own = step.inputs?.['DocumentName'] === '{{ CommandDocument }}';
      expect(step.inputs?.['CloudWatchOutputConfig']).toEqual({
        CloudWatchOutputEnabled: true,
        ...(!own && { CloudWatchLogGroupName: '/aws/ssm/{{ CommandDocument }}' }),
      });
    }
  });

  test('fails with whatever fails: no step is passed over', () => {
    expect(stepsOf(document).filter((step) => step.onFailure !== undefined || step.isCritical !== undefined)).toEqual(
      [],
    );
  });
});

describe.each(PHASES)('the runbook of the phase %s', (name) => {
  const document = parsed(name);

  test('speaks of its own phase only', () => {
    const phases = stepsOf(document)
      .filter((step) => step.action === 'aws:runCommand')
      .map((step) => step.inputs?.['Parameters'] as Record<string, unknown> | undefined)
      .map((inputs) => inputs?.['Phase']);
    expect(new Set(phases)).toEqual(new Set([name]));
  });

  test('polls no longer than its own step and the host allow, however it is set', () => {
    const { allowedPattern = '', default: usual } = document.parameters?.['WaitSeconds'] ?? {};
    const allowed = new RegExp(allowedPattern);
    expect(
      ['0', '60', '9999', '19999', '20000', '21599', '21600', String(usual)].every((text) => allowed.test(text)),
    ).toBe(true);
    expect(['21601', '22000', '30000', '100000', '-1', '', '1h'].some((text) => allowed.test(text))).toBe(false);
    const wait = stepsOf(document).find((step) => step.name === 'wait');
    expect(wait?.timeoutSeconds).toBeGreaterThan(21_600 + 600);
    expect(wait?.timeoutSeconds).toBeLessThan(LIMITS.executionSeconds.most);
  });

  test('says in WaitSeconds how long all its polls last', () => {
    const { description = '', default: usual } = document.parameters?.['WaitSeconds'] ?? {};
    const [, amount, unit] = /default, (\d+) (hours|days)\./.exec(description) ?? [];
    const seconds = Number(amount) * (unit === 'days' ? 86_400 : 3600);
    expect(Number(usual) * LIMITS.iterations).toBeGreaterThanOrEqual(seconds);
    expect(Number(usual) * LIMITS.iterations).toBeLessThan(seconds * 1.1);
  });
});

test('the runbooks of all phases take the same steps, so that what is shown of one holds for each', () => {
  const bare = (phase: string): unknown => {
    const { mainSteps, outputs } = parsed(phase);
    const text = JSON.stringify({ mainSteps, outputs }, (key, value: unknown) => (key === 'description' ? '' : value));
    const own = `,"Repair":"{{ Repair }}"`; // The one input that only verify has.
    return JSON.parse(text.replaceAll(`"Phase":"${phase}"`, '"Phase":"this"').replace(own, ''));
  };
  for (const phase of PHASES) expect(bare(phase)).toEqual(bare('dump'));
});
