import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { Approver } from '../../../lib/rehearsal/automation/actions/approve';
import { Automation, type AutomationOptions } from '../../../lib/rehearsal/automation/automation';
import { realSleep, type Sleep } from '../../../lib/rehearsal/automation/clock';
import { LocalCommandHost } from '../../../lib/rehearsal/automation/command-host';
import type { SsmDocument } from '../../../lib/rehearsal/automation/document';
import type { ExecutionResult, StepRecord } from '../../../lib/rehearsal/automation/result';
import type { ParameterValues } from '../../../lib/rehearsal/automation/parameters';

export const INSTANCE = 'i-0123456789abcdef0';

/** A Command document that runs the text of its parameter as a script. */
export const SHELL = `
schemaVersion: '2.2'
parameters:
  Script: { type: String, interpolationType: ENV_VAR }
mainSteps:
  - name: run
    action: aws:runShellScript
    inputs:
      timeoutSeconds: '600'
      runCommand: ['eval "$SSM_Script"']
`;

/** A clock that runs a thousand times as fast: a second is a millisecond. */
export const fastSleep: Sleep = (milliseconds, signal) => realSleep(Math.max(1, milliseconds / 1000), signal);

/** An approver who never looks at the request. */
export const nobody: Approver = () => new Promise(() => undefined);

/** An account with these documents (YAML by name) and `SHELL` as `shell`, whose host is this machine. */
export function account(
  documents: Readonly<Record<string, string>>,
  options: Partial<AutomationOptions> & { readonly environment?: Readonly<Record<string, string>> } = {},
): Automation {
  const parsed = Object.entries({ shell: SHELL, ...documents }).map(
    ([name, text]) => [name, parse(text) as SsmDocument] as const,
  );
  const sleep = options.sleep ?? realSleep;
  return new Automation({
    documents: new Map(parsed),
    host: new LocalCommandHost({
      instanceId: INSTANCE,
      environment: { PATH: process.env['PATH'] ?? '', ...options.environment },
      directory: tmpdir(),
      sleep,
    }),
    approve: nobody,
    ...options,
    sleep,
  });
}

/** Runs the runbook `main` of these steps (YAML list) to its end. */
export function runSteps(
  mainSteps: string,
  options: Parameters<typeof account>[1] & { readonly head?: string; readonly parameters?: ParameterValues } = {},
): Promise<ExecutionResult> {
  const { head = '', parameters = {}, ...rest } = options;
  return account({ main: runbook(mainSteps, head) }, rest).start('main', parameters).done;
}

/** The text of a runbook of these steps; `head` holds more properties of the document. */
export const runbook = (mainSteps: string, head = ''): string =>
  `schemaVersion: '0.3'\n${head}\nmainSteps:\n${mainSteps}\n`;

/** The text of a step that runs a script; `more` holds more properties of the step, one a line. */
export function script(name: string, text: string, more: readonly string[] = []): string {
  return [
    `  - name: ${name}`,
    '    action: aws:runCommand',
    ...more.map((line) => `    ${line}`),
    '    inputs:',
    '      DocumentName: shell',
    `      InstanceIds: [${INSTANCE}]`,
    `      Parameters: { Script: ${JSON.stringify(text)} }`,
  ].join('\n');
}

export const names = (result: ExecutionResult): string[] => result.steps.map((step) => step.name);

/** The record of a step; throws when it did not run. */
export function step(result: ExecutionResult, name: string): StepRecord {
  const record = result.steps.find((one) => one.name === name);
  if (!record) throw new Error(`step ${name} did not run; there were ${names(result).join(', ')}`);
  return record;
}

const scratches: string[] = [];
afterAll(() => {
  for (const directory of scratches) rmSync(directory, { recursive: true, force: true });
});

/** A directory that is removed when the tests of the file have run. */
export function scratch(): string {
  const directory = mkdtempSync(join(tmpdir(), 'ibex-test-'));
  scratches.push(directory);
  return directory;
}
