import { createHash } from 'node:crypto';
import { CAPTURE_ID_FACT } from '../capture/identity';
import type { AgentConfig } from '../config';
import { Failure, UsageError } from '../errors';
import { State } from '../state';
import { block, firstOf, pass, warn, type Gate } from './gate';

/** Fact with everybody's approval of the cutover. */
const APPROVALS_FACT = 'approvals';

const MS_PER_HOUR = 3_600_000;

/** A runbook's approval names how many people it has asked; anybody else stands for himself. */
const OF_RUNBOOK = /^(\d{1,2}) approvers? of runbook /;

/** An approval, and what was approved. */
interface Approval {
  readonly by: string;
  readonly at: string;
  /** Print of the state of the migration at that moment. */
  readonly state: string;
}

/**
 * Print of what an approver has looked at: the last verify, the capture under which it ran, how the cutover is set, with
 * what may stay behind on the way back. Undefined before a verify has succeeded.
 */
async function stateOf(state: State, config: AgentConfig): Promise<string | undefined> {
  const verify = await state.phase('verify');
  if (verify?.status !== 'succeeded') return undefined;
  const capture = (await state.fact<string>(CAPTURE_ID_FACT)) ?? null;
  const looked = JSON.stringify([verify.startedAt, capture, config.cutover]);
  return createHash('sha256').update(looked).digest('hex').slice(0, 16);
}

/**
 * Records that somebody approves the cutover as things stand. Throws UsageError without a name, Failure when there is
 * nothing to approve yet. Whoever may run commands on the host may write any name: IAM decides who that is.
 */
export async function approve(config: AgentConfig, by: string | undefined): Promise<string> {
  const name = by?.trim() ?? '';
  if (!/^[\w .,:@/+=()-]{1,128}$/.test(name)) {
    throw new UsageError('approve needs --by NAME: 1 to 128 letters, digits, spaces and any of _.,:@/+=()-');
  }
  const state = await State.open(config.host);
  try {
    const print = await stateOf(state, config);
    if (print === undefined) throw new Failure('there is nothing to approve: verify has not succeeded; start it first');
    const known = (await state.fact<readonly Approval[]>(APPROVALS_FACT)) ?? [];
    const approval: Approval = { by: name, at: new Date().toISOString(), state: print };
    const standing = [...known.filter((one) => one.by !== name), approval];
    await state.setFact(APPROVALS_FACT, standing);
    await state.evidence('approve', 'approval', true, `approve --by`, approval);
    return `${name} approves the cutover as it stands (state ${print})`;
  } finally {
    await state.close();
  }
}

const people = ({ by }: Approval): number => Number(OF_RUNBOOK.exec(by)?.[1] ?? 1);

/** Whether enough people have approved the cutover lately, as it stands. */
export const APPROVALS_GATE: Gate = {
  name: 'approvals',
  query: `fact ${APPROVALS_FACT}; phase verify, fact ${CAPTURE_ID_FACT} and the settings of the cutover`,
  again: true,
  forwardOnly: true,
  ask: async ({ context: { state, config }, freezing }) => {
    const { approvals: wanted, approvalHours } = config.ready;
    if (wanted === 0) return pass('not asked for: who may start the runbook decides', null);
    const now = await stateOf(state, config);
    const all = (await state.fact<readonly Approval[]>(APPROVALS_FACT)) ?? [];
    const hours = ({ at }: Approval): number => (Date.now() - Date.parse(at)) / MS_PER_HOUR;
    const describe = (approval: Approval): string => {
      const old = hours(approval) > approvalHours ? ', expired' : '';
      const other = approval.state === now ? '' : ', of another state';
      return `${approval.by} ${hours(approval).toFixed(1)} hours ago${old}${other}`;
    };
    const valid = all.filter((one) => one.state === now && hours(one) <= approvalHours);
    const count = valid.reduce((sum, one) => sum + people(one), 0);
    const result = { wanted, state: now ?? null, approvals: all };
    const figure = `${count} of ${wanted}${all.length > 0 ? `: ${firstOf(all.map(describe))}` : ''}`;
    if (count >= wanted) return pass(figure, result);
    const todo = 'let them read what ready says, then run ibex approve --by NAME on the host, or approve in migrate';
    // The runbook migrate asks for the approvals once ready has passed.
    return freezing ? block(figure, todo, result) : warn(figure, todo, result);
  },
};
