import { InputError } from '../errors';
import { LIMITS } from '../limits';
import { isCommand } from '../document';
import type { Action } from './definition';

/** aws:runCommand on one instance: Automation passes on the output of one only. */
export const runCommand: Action = {
  inputs: {
    DocumentName: { form: 'string', required: true },
    InstanceIds: { form: 'strings', required: true },
    Parameters: { form: 'map' },
    Comment: { form: 'string' },
    TimeoutSeconds: { form: 'integer' },
    CloudWatchOutputConfig: { form: 'map' },
  },
  outputs: ['CommandId', 'Status', 'ResponseCode', 'Output'],
  inLoop: true,
  onCancel: true,
  problems: ({ TimeoutSeconds, CloudWatchOutputConfig, InstanceIds }) => {
    const { least, most } = LIMITS.deliverySeconds;
    const problems: string[] = [];
    if (typeof TimeoutSeconds === 'number' && (TimeoutSeconds < least || TimeoutSeconds > most)) {
      problems.push(`TimeoutSeconds ${TimeoutSeconds} must be ${least} to ${most}`);
    }
    for (const key of Object.keys((CloudWatchOutputConfig as object | undefined) ?? {})) {
      if (!['CloudWatchLogGroupName', 'CloudWatchOutputEnabled'].includes(key)) {
        problems.push(`CloudWatchOutputConfig: ${key} is not known`);
      }
    }
    if (Array.isArray(InstanceIds) && InstanceIds.length !== 1) problems.push('InstanceIds must name one instance');
    return problems;
  },
  run: async (_step, context) => {
    const { DocumentName, InstanceIds, Parameters = {} } = context.inputs();
    const documentName = String(DocumentName);
    const document = context.services.documents.get(documentName);
    if (!document || !isCommand(document)) throw new InputError(`Command document ${documentName} does not exist`);
    const [instanceId = ''] = InstanceIds as string[];
    const result = await context.services.host.run({
      instanceId,
      documentName,
      document,
      parameters: unlisted(Parameters as Record<string, unknown>),
      signal: context.signal,
    });
    const outputs = {
      CommandId: result.commandId,
      Status: result.status,
      ResponseCode: result.responseCode,
      Output: result.output,
    };
    if (result.status === 'Success') return { status: 'Success', outputs };
    return {
      status: 'Failed',
      outputs,
      message: `Command ${result.commandId} ended as ${result.status} with status ${result.responseCode}: ${result.output.trim()}`,
    };
  },
};

/** SendCommand takes every value as a list of strings; a list of one is the value itself. Other types it refuses. */
function unlisted(parameters: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(parameters).map(([name, value]) => {
      const only = Array.isArray(value) && value.length === 1 ? (value[0] as unknown) : value;
      if (typeof only !== 'string') {
        throw new InputError(`Parameters.${name} is ${JSON.stringify(value)}; a command takes strings only`);
      }
      return [name, only];
    }),
  );
}
