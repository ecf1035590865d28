import type { Construct } from 'constructs';
import { CommandDocument } from './command-document';
import { PHASES } from './phases';

/** The one command that runbooks send: start a phase as a job, ask how it stands, or take its result. */
export function jobDocument(scope: Construct, id: string, name: string): CommandDocument {
  return new CommandDocument(scope, id, {
    name,
    description: 'Ibex: starts a phase on the Bucardo host as a job of its own, and tells how it stands.',
    parameters: {
      Action: { description: 'What is asked of the job.', allowedValues: ['start', 'status', 'result', 'approve'] },
      Phase: { description: 'Which phase.', allowedValues: PHASES },
      WaitSeconds: {
        description: 'How long `status` waits for the end of the job; seconds.',
        allowedPattern: '^[0-9]{1,5}$',
        default: '0',
      },
      By: {
        description: 'Who approves the cutover; of the action approve alone.',
        allowedPattern: '^[a-zA-Z0-9_ .,:@/+=()-]{0,128}$',
        default: '',
      },
      Repair: {
        description: 'Whether verify, when it is started, has the keys that differ applied anew.',
        allowedValues: ['false', 'true'],
        default: 'false',
      },
    },
    script: [
      'if [ "$SSM_Action" = approve ]; then exec "${IBEX_HOME:-/opt/ibex}/bin/ibex" approve --by "$SSM_By"; fi',
      'set -- job "$SSM_Action" "$SSM_Phase" --wait "$SSM_WaitSeconds"',
      'if [ "$SSM_Repair" = true ]; then set -- "$@" --repair; fi',
      'exec "${IBEX_HOME:-/opt/ibex}/bin/ibex" "$@"',
    ],
    // Above the longest wait of a runbook, 21,600 s; the job itself is no child of this script.
    timeoutSeconds: 28_800,
  });
}
