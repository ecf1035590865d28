import { UsageError } from '../assets/agent/errors';
import { DEFAULT_MIGRATION } from '../lib/app';
import { estimateReport } from '../lib/estimate/report';

const [name = DEFAULT_MIGRATION, gib = '500'] = process.argv.slice(2);
try {
  if (!/^\d{1,6}$/.test(gib)) {
    throw new UsageError(`size "${gib}" is no number of GiB; say npm run estimate -- <migration> [<GiB of data>]`);
  }
  console.log(estimateReport(name, Number(gib)));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`estimate: ${error.message}`);
  process.exit(error.exitStatus);
}
