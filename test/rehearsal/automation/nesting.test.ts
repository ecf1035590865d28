import type { AutomationEvent } from '../../../lib/rehearsal/automation/result';
import { account, runbook, script, step } from './account';

const call = (name: string, documentName: string, parameters = '{}'): string =>
  `  - { name: ${name}, action: aws:executeAutomation, inputs: { DocumentName: ${documentName}, RuntimeParameters: ${parameters} } }`;

describe('aws:executeAutomation', () => {
  const child = runbook(
    script('say', 'echo {{ What }}'),
    'parameters: { What: { type: String } }\noutputs: [say.Output]',
  );

  test('hands parameters down and outputs up, and keeps the records of the child', async () => {
    const main = runbook(
      [
        call('below', 'child', '{ What: hello }'),
        script('after', "printf %s '{{ below.Output }} {{ below.Status }}'"),
      ].join('\n'),
    );
    const result = await account({ main, child }).start('main').done;
    expect(step(result, 'after').outputs['Output']).toBe('["hello\\n"] Success');
    expect(step(result, 'below').children).toMatchObject([{ documentName: 'child', steps: [{ name: 'say' }] }]);
  });

  test('fails when the child does, and says why', async () => {
    const main = runbook(call('below', 'child'));
    const result = await account({ main, child: runbook(script('work', 'echo broken; exit 1')) }).start('main').done;
    expect(result.status).toBe('Failed');
    expect(result.failureMessage).toMatch(/Automation child \(.*\) ended as Failed: .*broken/s);
  });

  test('fails when the child is refused for its parameters', async () => {
    const main = runbook(call('below', 'child', '{ Wrong: x }'));
    const result = await account({ main, child }).start('main').done;
    expect(result.failureMessage).toContain('Parameter "Wrong" is not defined');
  });

  test('nests 5 automations and no more', async () => {
    const chain = (length: number): Record<string, string> =>
      Object.fromEntries(
        Array.from({ length }, (_, n) => [
          n === 0 ? 'main' : `level${n}`,
          runbook(n === length - 1 ? script('work', 'true') : call('below', `level${n + 1}`)),
        ]),
      );
    expect((await account(chain(5)).start('main').done).status).toBe('Success');
    const result = await account(chain(6)).start('main').done;
    expect(result.status).toBe('Failed');
    expect(result.failureMessage).toContain('5 are allowed');
  });

  test('tells watchers of every start and end with the way to it, in order', async () => {
    const events: AutomationEvent[] = [];
    const main = runbook(call('below', 'child', '{ What: x }'));
    await account({ main, child }, { onEvent: (event) => events.push(event) }).start('main').done;
    expect(events.map((event) => [event.kind, event.path.join('/'), event.status])).toEqual([
      ['execution-started', '', undefined],
      ['step-started', 'below', undefined],
      ['execution-started', 'below', undefined],
      ['step-started', 'below/say', undefined],
      ['step-ended', 'below/say', 'Success'],
      ['execution-ended', 'below', 'Success'],
      ['step-ended', 'below', 'Success'],
      ['execution-ended', '', 'Success'],
    ]);
  });
});
