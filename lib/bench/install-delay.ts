import { setTimeout as sleep } from 'node:timers/promises';
import { dropCapture } from '../../assets/agent/cleanup/source';
import type { Benchmark } from './benchmark';
import { CLIENTS, install, makeWritten } from './capture';
import { forgetState, runPhase } from './copy-ways';
import { runLoad } from './pgbench-load';
import { largestFigure } from './statistics';

/** How long the load goes on; its fifth second is over when the installation begins. */
const LOAD_SECONDS = 12;

/** How long the application waits while its tables get their triggers. */
export const installDelay: Benchmark = {
  name: 'install-delay',
  title: 'Delay while triggers are installed',
  about: `The longest transaction of ${CLIENTS} clients of pgbench -N while capture is installed, and, beside it, the longest of the same load before that. The worst round counts.`,
  minutes: { full: 0.7, quick: 0.4 },
  run: async ({ servers, quick, rounds, log }) => {
    const database = 'triggers_installed';
    await makeWritten(servers, database, quick ? 2 : 20);
    const config = servers.config(database);
    const [before, during]: [number[], number[]] = [[], []];
    const failures: string[] = [];
    for (let round = 1; round <= rounds(3); round += 1) {
      await forgetState(servers, config);
      const client = await servers.connect('source', database);
      await client.query('CHECKPOINT');
      await client.end();
      const loaded = Date.now() / 1000;
      const load = runLoad(servers, database, { clients: CLIENTS, seconds: LOAD_SECONDS, logged: true });
      await sleep(5_000);
      const began = Date.now() / 1000;
      await install(servers, database);
      const ended = Date.now() / 1000;
      const { transactions } = await load;
      if (ended > loaded + LOAD_SECONDS)
        failures.push(`round ${round}: the load had ended before capture was installed`);
      const longest = (from: number, to: number): number =>
        transactions.reduce(
          (most, { endedAt, milliseconds }) =>
            endedAt >= from && endedAt - milliseconds / 1000 <= to ? Math.max(most, milliseconds) : most,
          0,
        );
      // The first second has the clients connect.
      before.push(longest(began - 4, began));
      during.push(longest(began, ended));
      log(`round ${round}: ${during.at(-1)?.toFixed(0)} ms, before ${before.at(-1)?.toFixed(0)} ms`);
      await runPhase(config, 'cleanup', async (context) => dropCapture(context, await context.connect('source')));
    }
    return {
      figures: { installDelayMs: largestFigure(during) },
      charts: [
        {
          title: 'Longest transaction',
          unit: 'ms',
          series: [
            { way: 'before', values: before },
            { way: 'Ibex installs capture', values: during },
          ],
        },
      ],
      notes: [`The lock time-out is ${config.capture.lockTimeoutMs} ms.`],
      failures,
    };
  },
};
