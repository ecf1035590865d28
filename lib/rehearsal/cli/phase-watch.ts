import { oneLine } from '../../../assets/agent/errors';
import { PHASES } from '../../phases';
import type { AutomationEvent } from '../automation/result';
import type { View } from './view';

/** Tells a view about the phases, out of what the automation says about its steps. */
export class PhaseWatch {
  private readonly started = new Map<string, Date>();
  private readonly messages = new Map<string, string>();

  constructor(private readonly view: View) {}

  /** Takes every event of the runbook `migrate` or of one phase below it. */
  readonly onEvent = (event: AutomationEvent): void => {
    const [phase, ...below] = event.path;
    if (phase === undefined || !(PHASES as readonly string[]).includes(phase)) return;
    if (below.length > 0) this.remember(phase, event);
    else if (event.kind === 'step-started') this.start(phase, event);
    else if (event.kind === 'step-ended') this.end(phase, event);
  };

  private start(phase: string, { at }: AutomationEvent): void {
    this.started.set(phase, at);
    this.messages.delete(phase);
    this.view.phaseStarted(phase);
  }

  /** The job's own line, which commands on the host print. */
  private remember(phase: string, { outputs }: AutomationEvent): void {
    const output = outputs?.['Output'];
    if (typeof output !== 'string') return;
    const message = new RegExp(`^(?:succeeded|failed|running) ${phase}(?:: (.*))?$`, 'm').exec(output);
    if (message) this.messages.set(phase, message[1] ?? '');
  }

  private end(phase: string, { at, status, failureMessage }: AutomationEvent): void {
    const succeeded = status === 'Success';
    const own = this.messages.get(phase) ?? '';
    const message = own === '' && !succeeded ? oneLine(failureMessage ?? status ?? '') : own;
    const seconds = (at.getTime() - (this.started.get(phase) ?? at).getTime()) / 1000;
    this.view.phaseEnded({ name: phase, succeeded, seconds, message });
  }
}
