import type { Client } from 'pg';
import { setKnown } from '../connect';
import type { Context } from '../context';

/** What sessions that read chunks fix beside the form of values: one core each, and no plan that reads all for each. */
const SOURCE_SETTINGS: Readonly<Record<string, string>> = {
  max_parallel_workers_per_gather: '0',
  enable_seqscan: 'off',
  jit: 'off',
};

/** A session on each end, for reading chunks and writing them. */
export interface Ends {
  readonly source: Client;
  readonly target: Client;
  end(): Promise<unknown>;
}

/** Opens a session on each end. */
export async function openEnds(context: Context): Promise<Ends> {
  const source = await openSource(context);
  const target = await context.connect('target');
  return { source, target, end: () => Promise.allSettled([source.end(), target.end()]) };
}

async function openSource(context: Context): Promise<Client> {
  const source = await context.connect('source');
  await setKnown(source, SOURCE_SETTINGS);
  return source;
}
