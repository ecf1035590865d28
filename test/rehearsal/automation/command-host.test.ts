import { LocalCommandHost, type CommandResult } from '../../../lib/rehearsal/automation/command-host';
import type { CommandDocument } from '../../../lib/rehearsal/automation/document';
import type { Sleep } from '../../../lib/rehearsal/automation/clock';
import { fastSleep, INSTANCE, scratch } from './account';

const command = (line: string, more: Partial<CommandDocument> = {}, timeoutSeconds?: string): CommandDocument => ({
  schemaVersion: '2.2',
  mainSteps: [
    {
      name: 'run',
      action: 'aws:runShellScript',
      inputs: { runCommand: [line], ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }) },
    },
  ],
  ...more,
});

function send(
  document: CommandDocument,
  parameters: Record<string, string> = {},
  sleep: Sleep = fastSleep,
  instanceId = INSTANCE,
): Promise<CommandResult> {
  const environment = { PATH: process.env['PATH'] ?? '', GREETING: 'hello' };
  const host = new LocalCommandHost({ instanceId: INSTANCE, environment, directory: scratch(), sleep });
  return host.run({ instanceId, documentName: 'command', document, parameters, signal: new AbortController().signal });
}

/** The execution time-out that the host used, seconds. */
async function limit(timeoutSeconds?: string): Promise<number | undefined> {
  const asked: number[] = [];
  await send(command('true', {}, timeoutSeconds), {}, async (milliseconds, signal) => {
    asked.push(milliseconds / 1000);
    await new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve()));
  });
  return asked[0];
}

describe('a command on the host', () => {
  test('succeeds by its exit status and passes on its output with the last line end', async () => {
    expect(await send(command('echo done'))).toMatchObject({ status: 'Success', responseCode: 0, output: 'done\n' });
  });

  test('fails by its exit status, which the agent notes at the end of standard error', async () => {
    expect(await send(command('echo bad >&2; exit 7'))).toMatchObject({
      status: 'Failed',
      responseCode: 7,
      output: '\n----------ERROR-------\nbad\n\nfailed to run commands: exit status 7',
    });
  });

  test('appends standard error to the output of a success, too', async () => {
    expect((await send(command('echo out; echo err >&2'))).output).toBe('out\n\n----------ERROR-------\nerr\n');
  });

  test('sees the given environment and nothing else', async () => {
    const { output } = await send(command('env | cut -d= -f1 | grep -v -e ^PWD -e ^_ -e ^SHLVL -e ^OLDPWD | sort'));
    expect(output).toBe('GREETING\nPATH\n');
  });

  test('gets ENV_VAR parameters as environment, whatever they contain', async () => {
    const parameters = { Text: { type: 'String', interpolationType: 'ENV_VAR' } };
    const text = `'; echo "broken" $(id) \\`;
    const { output } = await send(command('printf %s "$SSM_Text"', { parameters }), { Text: text });
    expect(output).toBe(text);
  });

  test('does not end later than its script because of a process that it leaves behind', async () => {
    const { output } = await send(command('setsid sleep 2 & echo started'), {}, fastSleep);
    expect(output).toBe('started\n');
  });

  test('is killed at its execution time-out', async () => {
    expect(await send(command('sleep 1000', {}, '20'))).toMatchObject({ status: 'TimedOut', responseCode: -1 });
  });

  test.each([
    [undefined, 3600],
    ['4', 3600],
    ['5', 5],
    ['172800', 172_800],
    ['172801', 3600],
    ['soon', 3600],
  ])(
    'with timeoutSeconds %s may take %i s: outside 5 to 172800 the agent takes its default',
    async (given, seconds) => {
      expect(await limit(given)).toBe(seconds);
    },
  );

  test('may take its time-out from a parameter', async () => {
    const parameters = { Limit: { type: 'String', default: '20' } };
    expect(await send(command('sleep 1000', { parameters }, '{{ Limit }}'))).toMatchObject({ status: 'TimedOut' });
  });
});

describe('a command that is refused', () => {
  test.each([
    [
      'a parameter in the text of the script',
      command('echo {{ Text }}', { parameters: { Text: { type: 'String' } } }),
      'ENV_VAR',
    ],
    ['an unknown action', { ...command('true'), mainSteps: [{ name: 'x', action: 'aws:runPython' }] }, 'aws:runPython'],
    ['no step', { ...command('true'), mainSteps: [] }, 'one step'],
  ])('%s', async (_, document, problem) => {
    await expect(send(document, {})).rejects.toThrow(problem);
  });

  test('another instance', async () => {
    await expect(send(command('true'), {}, fastSleep, 'i-00000000000000000')).rejects.toThrow('InvalidInstanceId');
  });

  test('parameters that are missing, unknown or not allowed', async () => {
    const parameters = { Phase: { type: 'String', allowedValues: ['dump'], interpolationType: 'ENV_VAR' } };
    const document = command('true', { parameters });
    await expect(send(document)).rejects.toThrow('Missing required parameter: Phase');
    await expect(send(document, { Phase: 'lunch' })).rejects.toThrow('"lunch" not found in [dump]');
    await expect(send(document, { Phase: 'dump', Colour: 'red' })).rejects.toThrow('"Colour" is not defined');
  });
});
