import { onetimecopyRefusals } from '../copy/onetimecopy-limits';
import { refusal, type Check } from './check';

const onetimecopy: Check = {
  gate: 'onetimecopy',
  run: async ({ context: { config }, source, relations }) => {
    const refusals = config.copy.method === 'onetimecopy' ? await onetimecopyRefusals(config, source, relations) : [];
    return { query: 'pg_table_size, pg_inherits', result: { refusals }, findings: refusals.map(refusal) };
  },
};

export const copyWayChecks: readonly Check[] = [onetimecopy];
