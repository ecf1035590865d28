import { Failure } from './errors';
import { HostLost } from './host-volume';

/** Errors of a server that shuts down, starts or takes no more sessions; and of one that is not there. */
const LOST = /^(08...|57P0[1-3]|53300|ECONN\w+|EPIPE|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ENOTFOUND|EAI_AGAIN)$/;
const LOST_TEXT = /connection (terminated|ended)|client (was closed|has encountered)|cannot connect to|not queryable/i;

/** Of a server that takes no writes any more; a trigger may refuse a write by the same code, but in another routine. */
const isDemoted = ({ code, routine = '' }: Cause): boolean => code === '25006' && routine.startsWith('PreventCommand');

/** Errors after which the same work may well succeed. */
const MAY_PASS = /^(40001|40P01|55P03)$/;

/** Whether trying again, with new sessions, is of use. */
export const isPassing = (error: unknown): boolean =>
  isLost(error) || causesOf(error).some(({ code }) => code !== undefined && MAY_PASS.test(code));

/** Whether a server has room for no further session now; those that are open go on. */
export const isFull = (error: unknown): boolean => causesOf(error).some(({ code }) => code === '53300');

/** Whether an end is gone, takes no sessions, or became a standby; what the host's PostgreSQL does is none of that. */
export const isLost = (error: unknown): boolean =>
  causesOf(error).some((each) => {
    const { code, message = '' } = each;
    if (code !== undefined) return LOST.test(code) || isDemoted(each);
    return (!(each instanceof Failure) || message.startsWith('cannot connect to')) && LOST_TEXT.test(message);
  });

/** What is known of an error; `routine` is the function of the server that raised it. */
interface Cause {
  readonly code?: string;
  readonly message?: string;
  readonly routine?: string;
}

/** An error, and what caused it, as far as that is told and no loss of the host's. */
function causesOf(error: unknown): Cause[] {
  const causes: Cause[] = [];
  for (
    let each = error;
    each !== undefined && each !== null && !(each instanceof HostLost);
    each = (each as { cause?: unknown }).cause
  ) {
    causes.push(each);
  }
  return causes;
}
