import { InputError } from '../errors';
import { LIMITS } from '../limits';
import type { Action } from './definition';

const DURATION = /^P(?:(\d+)D)?(?:T(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$/;

/** Seconds of an ISO 8601 duration of days, hours, minutes and seconds. */
export function durationSeconds(text: string): number {
  const parts = DURATION.exec(text);
  if (!parts || text === 'P') throw new InputError(`Duration ${text} is no ISO 8601 duration such as PT10M`);
  const [days = 0, hours = 0, minutes = 0, seconds = 0] = parts.slice(1).map((part) => Number(part ?? 0));
  const total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds;
  if (total > LIMITS.sleepSeconds) throw new InputError(`Duration ${text} is longer than ${LIMITS.sleepSeconds} s`);
  return total;
}

/** aws:sleep, by Duration. */
export const sleep: Action = {
  inputs: { Duration: { form: 'string', required: true } },
  outputs: [],
  inLoop: true,
  onCancel: false,
  run: async (_step, context) => {
    const { Duration } = context.inputs();
    await context.services.sleep(durationSeconds(String(Duration)) * 1000, context.signal);
    return context.signal.aborted ? { status: 'Failed', message: 'Interrupted.' } : { status: 'Success' };
  },
};
