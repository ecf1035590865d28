import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from '../context';
import { Failure, oneLine } from '../errors';
import { awsClient } from './aws';
import type { HookRunner } from './hook';

/** How often a running document is looked at; milliseconds. */
const POLL_MS = 250;
/** Longest wait for the end of a document that was told to end; milliseconds. */
const STOP_MS = 1_500;

/** The parameters that a document must have: it is told no other. */
const PARAMETERS = ['Moment', 'To'];

const RUNNING = ['Pending', 'InProgress', 'Waiting', 'Cancelling'];
const SUCCEEDED = ['Success', 'CompletedWithSuccess'];

/**
 * A hook that is a document of Systems Manager Automation, with the parameters `Moment` and `To`. It is started, and
 * waited for; it is cancelled when its time is over. A Command document is run by an `aws:runCommand` of such a one.
 *
 * @param roleArn role under which it acts, which it then takes as `AutomationAssumeRole`; else it acts as the host
 */
export function automationHook(context: Context, document: string, roleArn?: string): HookRunner {
  const {
    SSMClient,
    DescribeDocumentCommand,
    GetAutomationExecutionCommand,
    StartAutomationExecutionCommand,
    StopAutomationExecutionCommand,
  } = require('@aws-sdk/client-ssm') as typeof import('@aws-sdk/client-ssm');
  const client = new SSMClient(awsClient(context));
  const name = `document ${document}`;
  const statusOf = async (id: string, abortSignal: AbortSignal): Promise<{ status: string; why: string }> => {
    const { AutomationExecution: execution } = await client.send(
      new GetAutomationExecutionCommand({ AutomationExecutionId: id }),
      { abortSignal },
    );
    return { status: execution?.AutomationExecutionStatus ?? 'Pending', why: execution?.FailureMessage ?? '' };
  };
  const ended = async (id: string, signal: AbortSignal): Promise<{ status: string; why: string }> => {
    for (;;) {
      const now = await statusOf(id, signal);
      if (!RUNNING.includes(now.status)) return now;
      await sleep(POLL_MS, undefined, { signal });
    }
  };
  const stop = async (id: string): Promise<void> => {
    const signal = AbortSignal.timeout(STOP_MS);
    await client.send(new StopAutomationExecutionCommand({ AutomationExecutionId: id, Type: 'Cancel' }), {
      abortSignal: signal,
    });
    await ended(id, signal);
  };
  return {
    name,
    check: async (_timeoutMs, { signal }) => {
      const { Document } = await client.send(new DescribeDocumentCommand({ Name: document }), { abortSignal: signal });
      const known = (Document?.Parameters ?? []).map(({ Name }) => Name);
      const wanted = [...PARAMETERS, ...(roleArn === undefined ? [] : ['AutomationAssumeRole'])];
      return [
        ...(Document?.DocumentType === 'Automation' ? [] : [`its type is ${Document?.DocumentType}, not Automation`]),
        ...(Document?.Status === 'Active' ? [] : [`its status is ${Document?.Status}`]),
        ...wanted.filter((each) => !known.includes(each)).map((each) => `it has no parameter ${each}`),
      ];
    },
    run: async (moment, to, { signal }) => {
      let id: string | undefined;
      try {
        ({ AutomationExecutionId: id } = await client.send(
          new StartAutomationExecutionCommand({
            DocumentName: document,
            Parameters: {
              Moment: [moment],
              To: [to],
              ...(roleArn !== undefined && { AutomationAssumeRole: [roleArn] }),
            },
          }),
          { abortSignal: signal },
        ));
        if (id === undefined) throw new Error('it was started without an id');
        const { status, why } = await ended(id, signal);
        if (!SUCCEEDED.includes(status)) throw new Error(`${status}: ${why || 'it gave no reason'} (execution ${id})`);
      } catch (error) {
        if (signal.aborted && id !== undefined) {
          const outcome = await stop(id).then(
            () => 'was cancelled',
            (cause: unknown) => `could not be cancelled (${oneLine(cause)}); look at execution ${id}`,
          );
          throw new Failure(`${name} ${outcome}`);
        }
        throw new Failure(`${name}: ${oneLine(error)}`);
      }
    },
  };
}
