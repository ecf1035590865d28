import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { End } from '../endpoints';
import { Failure, oneLine } from '../errors';

/** Where a pooler reads its side when it starts: an SSM parameter, or a file that stands in for it. */
export type SideRecord = { readonly region: string; readonly parameter: string } | { readonly file: string };

/** Longest time of a call with all its tries; milliseconds. Writes are stopped meanwhile. */
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
export async function recordSide(record: SideRecord, side: End, timeoutMs: number = TIMEOUT_MS): Promise<void> {
  if ('file' in record) return recordInFile(record.file, side);
  const { region, parameter } = record;
  const { client, PutParameterCommand } = systemsManager(region);
  try {
    await client.send(new PutParameterCommand({ Name: parameter, Value: side, Overwrite: true }), {
      abortSignal: AbortSignal.timeout(timeoutMs),
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
export async function recordedSide(record: SideRecord, timeoutMs: number = TIMEOUT_MS): Promise<End> {
  if ('file' in record) return checked(readFileSync(record.file, 'utf8').trim());
  const { region, parameter } = record;
  const { client, GetParameterCommand } = systemsManager(region);
  try {
    const { Parameter } = await client.send(new GetParameterCommand({ Name: parameter }), {
      abortSignal: AbortSignal.timeout(timeoutMs),
    });
    return checked(Parameter?.Value);
  } catch (error) {
    throw new Failure(`parameter ${parameter} does not tell the poolers' side: ${oneLine(error)}`);
  } finally {
    client.destroy();
  }
}

/** Whole or not at all: a pooler may start at this moment. */
function recordInFile(file: string, side: End): void {
  writeFileSync(`${file}.new`, `${side}\n`, { mode: 0o644 });
  renameSync(`${file}.new`, file);
}

function checked(value: string | undefined): End {
  if (value === 'source' || value === 'target') return value;
  throw new Error(`it is ${JSON.stringify(value)}`);
}
