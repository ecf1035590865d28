import { raised } from '../clock';
import type { Action } from './definition';

/** aws:executeAutomation: runs another runbook and fails unless that one succeeds. */
export const executeAutomation: Action = {
  inputs: { DocumentName: { form: 'string', required: true }, RuntimeParameters: { form: 'map' } },
  outputs: ['ExecutionId', 'Status', 'Output'],
  inLoop: false,
  onCancel: true,
  run: async (_step, context) => {
    const { DocumentName, RuntimeParameters = {} } = context.inputs();
    const child = context.startChild(String(DocumentName), RuntimeParameters as Record<string, unknown>);
    void raised(context.signal).then(() => child.cancel());
    const result = await child.done;
    context.noteChild(result);
    const outputs = { ExecutionId: child.id, Status: result.status, Output: Object.values(result.outputs) };
    if (result.status === 'Success') return { status: 'Success', outputs };
    const why = result.failureMessage === undefined ? '' : `: ${result.failureMessage}`;
    return {
      status: 'Failed',
      outputs,
      message: `Automation ${String(DocumentName)} (${child.id}) ended as ${result.status}${why}`,
    };
  },
};
