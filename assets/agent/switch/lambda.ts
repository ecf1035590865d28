import type { Context } from '../context';
import { Failure, oneLine } from '../errors';
import { awsClient } from './aws';
import type { HookRunner } from './hook';

/** What is kept of a function's error; characters. */
const KEPT = 500;

/**
 * A hook that is a Lambda function: invoked with `{migration, moment, to}`, and waited for. Nobody can end a function
 * that runs, so it is begun only when its own time-out fits into the time that is left: then it ends in time, whatever
 * becomes of us.
 */
export function lambdaHook(context: Context, functionName: string): HookRunner {
  const { LambdaClient, GetFunctionConfigurationCommand, InvokeCommand } =
    require('@aws-sdk/client-lambda') as typeof import('@aws-sdk/client-lambda');
  const client = new LambdaClient(awsClient(context));
  const name = `function ${functionName}`;
  const look = (abortSignal: AbortSignal) =>
    client.send(new GetFunctionConfigurationCommand({ FunctionName: functionName }), { abortSignal });
  let ownTimeoutMs: number | undefined;
  return {
    name,
    check: async (timeoutMs, { signal }) => {
      const { State, Timeout = 3 } = await look(signal);
      ownTimeoutMs = Timeout * 1000;
      return [
        ...(State === undefined || State === 'Active' ? [] : [`its state is ${State}`]),
        ...(ownTimeoutMs <= timeoutMs ? [] : [`its own time-out of ${Timeout} s is longer than timeoutSeconds`]),
      ];
    },
    run: async (moment, to, { signal, left }) => {
      ownTimeoutMs ??= ((await look(signal)).Timeout ?? 3) * 1000;
      if (ownTimeoutMs > left()) {
        throw new Failure(
          `${name} was not begun: its time-out of ${ownTimeoutMs / 1000} s is longer than the ${(left() / 1000).toFixed(1)} s that are left`,
        );
      }
      const payload = JSON.stringify({ migration: context.config.migration, moment, to });
      const { FunctionError, Payload } = await client
        .send(new InvokeCommand({ FunctionName: functionName, Payload: Buffer.from(payload) }), { abortSignal: signal })
        .catch((error: unknown) => {
          throw new Failure(`${name}: ${oneLine(error)}`);
        });
      if (FunctionError === undefined) return;
      const said = Payload === undefined ? '' : Buffer.from(Payload).toString().slice(0, KEPT);
      throw new Failure(`${name} failed (${FunctionError}): ${oneLine(said)}`);
    },
  };
}
