import type { End } from '../endpoints';
import { Failure, oneLine } from '../errors';

/** The SSM parameter that tells a pooler its side when it starts. */
export interface SideRecord {
  readonly region: string;
  readonly parameter: string;
}

const TIMEOUT_MS = 5_000;

/** Loaded when it is needed: most commands of the program never ask Systems Manager, and would pay for it. */
function systemsManager(region: string) {
  const sdk = require('@aws-sdk/client-ssm') as typeof import('@aws-sdk/client-ssm');
  return { ...sdk, client: new sdk.SSMClient({ region, maxAttempts: 5 }) };
}

/**
 * Records the side, so that a pooler that starts from now on comes up there. After the poolers were led there: one that
 * starts in between leads to the fenced side, where nothing can be lost, and `lead` repairs it. May be repeated.
 * Throws Failure when Systems Manager does not take it.
 */
export async function recordSide({ region, parameter }: SideRecord, side: End): Promise<void> {
  const { client, PutParameterCommand } = systemsManager(region);
  try {
    await client.send(new PutParameterCommand({ Name: parameter, Value: side, Overwrite: true }), {
      requestTimeout: TIMEOUT_MS,
    });
  } catch (error) {
    throw new Failure(
      `parameter ${parameter} cannot be set to ${side}: ${oneLine(error)}; a pooler that restarts now goes to the other side: set it by hand`,
    );
  } finally {
    client.destroy();
  }
}

/** The side that is recorded. Throws Failure when it cannot be read. */
export async function recordedSide({ region, parameter }: SideRecord): Promise<End> {
  const { client, GetParameterCommand } = systemsManager(region);
  try {
    const { Parameter } = await client.send(new GetParameterCommand({ Name: parameter }), {
      requestTimeout: TIMEOUT_MS,
    });
    const value = Parameter?.Value;
    if (value === 'source' || value === 'target') return value;
    throw new Error(`it is ${JSON.stringify(value)}`);
  } catch (error) {
    throw new Failure(`parameter ${parameter} does not tell the poolers' side: ${oneLine(error)}`);
  } finally {
    client.destroy();
  }
}
