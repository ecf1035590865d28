import { Automation } from '../automation/automation';
import type { CommandDocument } from '../automation/document';
import type { ExecutionResult } from '../automation/result';
import { Failure } from '../../../assets/agent/errors';
import type { Machine } from './machine';
import { MachineCommandHost } from './ssm-agent';
import type { Synthesized } from './synthesized';

type Check = (claim: string, holds: boolean, found?: unknown) => void;

/** Runs the install document, as the association does. */
export async function installProgram(
  machine: Machine,
  synthesized: Synthesized,
  say: (line: string) => void,
  check: Check,
): Promise<void> {
  say('install document');
  const documentName = `${synthesized.stackName}-install`;
  const result = await new MachineCommandHost(machine).run({
    instanceId: '',
    documentName,
    document: synthesized.documents.get(documentName) as CommandDocument,
    parameters: {},
    signal: new AbortController().signal,
  });
  check('the install document ends well', result.status === 'Success', result);
  const supervisor = await machine.shell('systemctl is-enabled ibex-supervise; systemctl is-active ibex-supervise');
  check('the supervisor runs, and will at each boot', supervisor === 'enabled\nactive', supervisor);
  const rights = await machine.shell("stat -c '%U:%G %a' /run/ibex /etc/ibex/ibex.json /database/ibex");
  check(
    'only who needs them may read what it is told and what it keeps',
    rights === 'postgres:postgres 700\nroot:postgres 640\npostgres:postgres 750',
    rights,
  );
}

/** Runs a runbook of the template to its end, its commands inside the machine. Throws Failure when it does not succeed. */
export async function runPhase(machine: Machine, synthesized: Synthesized, phase: string): Promise<ExecutionResult> {
  const result = await new Automation({
    documents: synthesized.documents,
    host: new MachineCommandHost(machine),
    approve: () => Promise.resolve('Approved'),
  }).start(`${synthesized.stackName}-${phase}`).done;
  if (result.status !== 'Success') {
    const last = result.steps.at(-1);
    throw new Failure(`${phase} ${result.status}: ${result.failureMessage ?? ''} ${JSON.stringify(last?.outputs)}`);
  }
  return result;
}
