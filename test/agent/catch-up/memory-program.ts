import { readRelations } from '../../../assets/agent/catalog/relations';
import { applyChanges } from '../../../assets/agent/catch-up/apply';
import type { AgentConfig } from '../../../assets/agent/config';
import { Context } from '../../../assets/agent/context';
import { Lease } from '../../../assets/agent/lease';

/** Applies the changes of the only table, and prints the keys and the most memory that this process ever had, in MB. */
async function main(): Promise<void> {
  const { config, generation } = JSON.parse(process.env['IBEX_TEST'] ?? '') as {
    config: AgentConfig;
    generation: string;
  };
  const context = await Context.create(config, 'sync');
  const source = await context.connect('source', 'catch-up');
  const target = await context.connect('target', 'catch-up');
  const [relation] = await readRelations(source, config);
  const keys = await applyChanges({ source, target }, Lease.shared('catch-up', generation), relation!);
  process.stdout.write(JSON.stringify({ keys, megabytes: process.resourceUsage().maxRSS / 1024 }));
  await Promise.all([source.end(), target.end(), context.close()]);
}

main().catch((error: Error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exitCode = 1;
});
