import { profileParameters, type Profile } from '../../database-parameters';
import { Automation } from '../automation/automation';
import type { CommandResult } from '../automation/command-host';
import type { CommandDocument } from '../automation/document';
import type { ExecutionResult } from '../automation/result';
import type { AwsEndpoint } from '../automation/aws-api';
import { Failure } from '../../../assets/agent/errors';
import type { Rds } from '../aws/rds';
import type { Machine } from './machine';
import { MachineCommandHost } from './ssm-agent';
import type { Synthesized } from './synthesized';

type Check = (claim: string, holds: boolean, found?: unknown) => void;

/** Runs a Command document of the template inside the machine. */
const runDocument = (
  machine: Machine,
  { stackName, documents }: Synthesized,
  name: string,
  parameters: Readonly<Record<string, string>> = {},
): Promise<CommandResult> =>
  new MachineCommandHost(machine).run({
    instanceId: '',
    documentName: `${stackName}-${name}`,
    document: documents.get(`${stackName}-${name}`) as CommandDocument,
    parameters,
    signal: new AbortController().signal,
  });

/**
 * Switches the profile of the target by its document, with AWS's own command line in the machine, and looks at what RDS was
 * given. The association of the deployment has put the load's in force.
 */
export async function switchProfile(machine: Machine, synthesized: Synthesized, rds: Rds, check: Check): Promise<void> {
  const server = synthesized.configuration.aws?.instances[0] ?? '';
  const given = (): string => JSON.stringify([...rds.groups.values()]);
  const says = async (profile: string, end: string): Promise<void> => {
    const { output } = await runDocument(machine, synthesized, 'profile', { Profile: profile });
    check(`the profile document says "${end}" to ${profile}`, output.trim() === end, { output, calls: rds.calls });
  };
  const expected = (profile: Profile): string => JSON.stringify([profileParameters('postgres', 'instance', profile)]);
  await says('keep', 'profile load in force; nothing waits for a restart');
  check('RDS was given the values of the load', given() === expected('load'), given());
  rds.pending.add(server);
  await says('show', `profile load in force; static values wait for a restart of: ${server}`);
  rds.pending.clear();
  await says('serve', 'profile serve in force; nothing waits for a restart');
  check('RDS was given the values of the applications', given() === expected('serve'), given());
}

/** Runs the install document, as the association does. */
export async function installProgram(
  machine: Machine,
  synthesized: Synthesized,
  say: (line: string) => void,
  check: Check,
): Promise<void> {
  say('install document');
  const result = await runDocument(machine, synthesized, 'install');
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
export async function runPhase(
  machine: Machine,
  synthesized: Synthesized,
  phase: string,
  aws?: AwsEndpoint,
): Promise<ExecutionResult> {
  const result = await new Automation({
    documents: synthesized.documents,
    host: new MachineCommandHost(machine),
    approve: () => Promise.resolve('Approved'),
    ...(aws && { aws }),
  }).start(`${synthesized.stackName}-${phase}`).done;
  if (result.status !== 'Success') {
    const last = result.steps.at(-1);
    throw new Failure(`${phase} ${result.status}: ${result.failureMessage ?? ''} ${JSON.stringify(last?.outputs)}`);
  }
  return result;
}
