/** The limits of Systems Manager that a runbook can run into; numbers of the service quotas and of the agent. */
export const LIMITS = {
  /** Bytes of a document together with the parameters of the execution. */
  documentBytes: 64 * 1024,
  /** Parameters of a document. */
  parameters: 200,
  /** Characters of a parameter's name. */
  parameterName: 50,
  /** Characters of one parameter value, and of a variable. */
  parameterValue: 512,
  /** Items of a list parameter. */
  listItems: 50,
  /** Iterations of one aws:loop. */
  iterations: 100,
  /** Automations inside each other, the first counted. */
  nesting: 5,
  /** Longest aws:sleep, seconds. */
  sleepSeconds: 604_799,
  /** How long aws:approve waits by default, seconds. */
  approvalSeconds: 604_800,
  /** The longest that aws:approve can wait, seconds. */
  longestApprovalSeconds: 2_592_000,
  /** Principals that aws:approve asks. */
  approvers: 10,
  /** Characters of an approval message. */
  approvalMessage: 4096,
  /** What the steps of onCancel may take, seconds. */
  cancelSeconds: 120,
  /** Characters of a command's output that a step sees. */
  commandOutput: 2500,
  /** A command's own time-out outside these bounds is replaced by the default, silently; seconds. */
  executionSeconds: { least: 5, most: 172_800, default: 3600 },
  /** Time-out of the delivery of a command, seconds. */
  deliverySeconds: { least: 30, most: 2_592_000 },
} as const;
