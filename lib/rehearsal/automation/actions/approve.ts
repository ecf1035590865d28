import { InputError } from '../errors';
import { LIMITS } from '../limits';
import { raised } from '../clock';
import type { Action } from './definition';

/** What a person is asked. */
export interface ApprovalRequest {
  readonly executionId: string;
  readonly documentName: string;
  /** Name of the step that asks. */
  readonly step: string;
  readonly message: string;
  readonly approvers: readonly string[];
  /** Topic that is told, if any. */
  readonly topicArn?: string;
  /** Raised when the answer is not waited for any longer. */
  readonly signal: AbortSignal;
}

/** Answers in the place of the approvers. */
export type Approver = (request: ApprovalRequest) => Promise<'Approved' | 'Rejected'>;

/** aws:approve. One answer stands for all approvers that are needed. */
export const approve: Action = {
  inputs: {
    NotificationArn: { form: 'string' },
    Message: { form: 'string' },
    MinRequiredApprovals: { form: 'integer' },
    Approvers: { form: 'strings', required: true },
  },
  outputs: ['ApprovalStatus', 'ApproverDecisions'],
  inLoop: false,
  onCancel: false,
  timeoutSeconds: LIMITS.approvalSeconds,
  longestSeconds: LIMITS.longestApprovalSeconds,
  run: async (step, context) => {
    const { NotificationArn, Message = '', MinRequiredApprovals = 1, Approvers } = context.inputs();
    const approvers = Approvers as string[];
    const message = String(Message);
    if (approvers.length < 1 || approvers.length > LIMITS.approvers) {
      throw new InputError(`${approvers.length} approvers; 1 to ${LIMITS.approvers} are allowed`);
    }
    if (Number(MinRequiredApprovals) < 1 || Number(MinRequiredApprovals) > approvers.length) {
      throw new InputError(`MinRequiredApprovals ${String(MinRequiredApprovals)} of ${approvers.length} approvers`);
    }
    if (message.length > LIMITS.approvalMessage) {
      throw new InputError(`Message of ${message.length} characters; ${LIMITS.approvalMessage} are allowed`);
    }
    const topicArn = NotificationArn === undefined ? undefined : String(NotificationArn);
    if (topicArn !== undefined && !/^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:Automation/.test(topicArn)) {
      throw new InputError(`NotificationArn ${topicArn} is no topic whose name begins with Automation`);
    }
    const answer = await Promise.race([
      context.services.approve({
        executionId: context.scope.executionId,
        documentName: context.scope.documentName,
        step: step.name,
        message,
        approvers,
        signal: context.signal,
        ...(topicArn === undefined ? {} : { topicArn }),
      }),
      raised(context.signal).then(() => 'Waiting' as const),
    ]);
    const outputs = { ApprovalStatus: answer, ApproverDecisions: [] };
    return answer === 'Approved'
      ? { status: 'Success', outputs }
      : { status: 'Failed', outputs, message: `Approval of step ${step.name} was ${answer.toLowerCase()}.` };
  },
};
