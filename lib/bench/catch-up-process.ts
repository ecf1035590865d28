import { readFileSync } from 'node:fs';
import type { AgentConfig } from '../../assets/agent/config';
import { readRelations } from '../../assets/agent/catalog/relations';
import { CatchUp } from '../../assets/agent/catch-up/rounds';
import { Context } from '../../assets/agent/context';
import { Lease, prepareLeases } from '../../assets/agent/lease';

/**
 * Catch-up in a process of its own, as the host program runs it, so that its memory can be told from that of whoever
 * measures: `node FILE CONFIGURATION`. Prints the seconds that it took, connections included.
 */
async function main(file: string): Promise<void> {
  const context = await Context.create(JSON.parse(readFileSync(file, 'utf8')) as AgentConfig, 'sync');
  try {
    const [source, target] = [await context.connect('source'), await context.connect('target')];
    const relations = await readRelations(source, context.config);
    await prepareLeases(target, relations);
    const lease = await Lease.take(target, 'catch-up');
    const began = performance.now();
    const catchUp = new CatchUp(context, relations, lease);
    const keys = await catchUp.until(source, 1);
    await catchUp.close();
    process.stdout.write(JSON.stringify({ keys, seconds: (performance.now() - began) / 1000 }));
  } finally {
    await context.close();
  }
}

main(process.argv[2] ?? '').catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
