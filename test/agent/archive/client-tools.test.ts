import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { prepareServices } from '../../../assets/agent/archive/client-tools';
import type { Context } from '../../../assets/agent/context';
import { clientServiceFile } from '../../../assets/agent/libpq';

it('pg_dump reads money in the form that every server reads, whatever the locale of the source', async () => {
  const runDirectory = mkdtempSync(join(tmpdir(), 'ibex-client-tools-'));
  try {
    const context = {
      config: { host: { runDirectory } },
      endpoint: async (end: string) => ({
        end,
        host: 'h',
        port: 1,
        user: 'u',
        database: 'd',
        password: '',
        sslmode: 'disable',
      }),
    };
    await prepareServices(context as unknown as Context, ['source']);
    expect(readFileSync(clientServiceFile(runDirectory), 'utf8')).toContain('options=-c lc_monetary=C\n');
  } finally {
    rmSync(runDirectory, { recursive: true });
  }
});
