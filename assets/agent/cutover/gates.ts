import type { Client } from 'pg';
import type { Relation } from '../catalog/relations';
import type { Context } from '../context';
import { Failure } from '../errors';
import { askAll, blocked } from '../ready/ask';
import { openAws } from '../ready/aws-account';
import type { Switches } from '../switch/switches';
import { GATES } from '../ready/gates';

/** Asks those gates of `ready` once more that are quick, right before writes are stopped. Failure names each that blocks. */
export async function passGates(
  context: Context,
  source: Client,
  target: Client,
  relations: readonly Relation[],
  switches: Switches,
): Promise<void> {
  const gates = GATES.filter(({ again, forwardOnly }) => again && (context.direction === 'forward' || !forwardOnly));
  const aws = openAws(context.config);
  const blocks = blocked(await askAll(gates, { context, source, target, relations, aws, switches, freezing: true }));
  if (blocks !== undefined) throw new Failure(`${context.phase} cannot begin: ${blocks}`);
}
