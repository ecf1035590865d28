import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentConfig } from '../../assets/agent/config';
import { copy, copyAll } from '../../assets/agent/copy';
import { HostFull } from '../../assets/agent/host-volume';
import { Jobs } from '../../assets/agent/job';
import { runPhase, type Phase } from '../../assets/agent/phase';
import { State } from '../../assets/agent/state';
import { SupervisorMemory } from '../../assets/agent/sync/memory';
import { watch } from '../../assets/agent/sync/supervise';
import { wantedDirection } from '../../assets/agent/sync/supervisor-job';
import { COPY_PROBES, CopyTest } from '../helpers/copy-test';
import { mountVolume, removeVolume, ROWS, TWO_TABLES } from '../helpers/small-volume';
import { until } from '../helpers/until';

/** What the target says is there; each chunk with the time at which it came. */
const CHUNKS = `SELECT relation_name, number, copied_at::text FROM ibex.chunk ORDER BY 1, 2`;

const WAY_ON =
  /^the volume of \/.*\/state is full: .*; what was done is kept; make room there or enlarge it, see that the host's PostgreSQL runs, then start again, it resumes$/;

// Small volumes are mounted by root only.
(process.getuid?.() === 0 ? describe : describe.skip)(
  `a full volume of the host, which holds its state, its logs and its own PostgreSQL`,
  () => {
    let test: CopyTest;
    let config: AgentConfig;
    let volume: string;

    beforeAll(async () => {
      volume = mountVolume('size=400m,mode=755');
      test = await CopyTest.start(COPY_PROBES, { hostVolume: volume });
      await test.prepare(TWO_TABLES);
      const { migration } = test;
      // Slow enough to be interrupted.
      const slowly = { ...migration.config.copy, chunkMegabytes: 0.2, maxBytesPerSecond: 1_000_000 };
      config = { ...migration.config, copy: slowly, host: { ...migration.config.host, bucardo: '/bin/false' } };
    });

    afterAll(async () => {
      await test?.migration.stop();
      removeVolume(volume);
    });

    function fill(): void {
      const { bavail, bsize } = statfsSync(volume);
      execFileSync('fallocate', ['-l', String(bavail * bsize), join(volume, 'ballast')]);
    }

    /** Fills the volume and has the host's PostgreSQL want another segment of its log, for which it stops. */
    async function fillUntilItStops(): Promise<void> {
      fill();
      const client = await test.migration.host.connect();
      const next = (): Promise<boolean> =>
        client.query(`SELECT pg_switch_wal(); SELECT pg_logical_emit_message(false, 'test', '')`).then(
          () => false,
          () => true,
        );
      await until(next);
      await until(() => test.migration.host.pid === undefined);
    }

    const failureOf = (work: Promise<unknown>): Promise<Error> =>
      work.then(
        () => new Error('it succeeded'),
        (error: Error) => error,
      );

    async function makeRoom(): Promise<void> {
      rmSync(join(volume, 'ballast'));
      await test.migration.host.start();
    }

    it('is named by a phase that has something to keep, and by its job; with more room it goes on', async () => {
      let full = true;
      const phase: Phase = {
        name: 'assess',
        after: [],
        once: true,
        run: async (context) => {
          if (full) fill();
          await context.evidence('much', true, '', Array.from({ length: 50_000 }, randomUUID));
          return { message: 'kept' };
        },
      };
      const { message } = await failureOf(runPhase(config, phase));
      expect(message).toMatch(WAY_ON);
      // Of the server, not of the log, which has no room for this either.
      expect(message).not.toContain('ENOSPC');
      expect(new Jobs(config).line('assess').replace(/^failed assess: /, '')).toMatch(WAY_ON);
      full = false;
      await makeRoom();
      expect(await runPhase(config, phase)).toBe('kept');
    });

    it('stops the PostgreSQL and with it the copy, which loses no chunk, and resumes when both are back', async () => {
      const phase: Phase = { ...copy, after: [], run: (context) => copyAll(context, COPY_PROBES) };
      const failed = failureOf(runPhase(config, phase));
      await until(async () => (await test.chunks()) > 2);
      await fillUntilItStops();
      expect((await failed).message).toMatch(WAY_ON);
      expect(new Jobs(config).line('copy').replace(/^failed copy: /, '')).toMatch(WAY_ON);
      await expect(runPhase(config, phase)).rejects.toThrow(
        /^the volume of .* is full: cannot connect to the host's PostgreSQL at .*; nothing listens there/,
      );
      const before = (await test.target.query(CHUNKS)).rows;
      expect(before.length).toBeGreaterThan(2);
      expect(await test.count('large')).toBeLessThan(ROWS);

      await makeRoom();
      expect(await runPhase(config, phase)).toMatch(/^11000 rows of 2 tables copied/);
      expect((await test.target.query(CHUNKS)).rows).toEqual(expect.arrayContaining(before));
      expect(await test.count('large')).toBe(ROWS);
    });

    it('holds the supervisor up, which goes on by itself when both are back', async () => {
      const wanted = join(config.host.stateDirectory, 'sync.wanted');
      const memory = new SupervisorMemory();
      const failures: Error[] = [];
      writeFileSync(wanted, 'forward');
      const running = (async () => {
        while (wantedDirection(config) === 'forward') {
          await watch(config, memory).catch((error: Error) => failures.push(error));
          await sleep(100);
        }
      })();
      const starts = async (): Promise<number> => {
        const state = await State.open(config.host);
        return (await state.counters().finally(() => state.close()))['bucardo.starts'] ?? 0;
      };
      try {
        await until(async () => (await starts()) > 0);
        await fillUntilItStops();
        await until(() => failures.some((failure) => failure instanceof HostFull && WAY_ON.test(failure.message)));
        await makeRoom();
        const before = await starts();
        await until(async () => (await starts()) > before);
      } finally {
        rmSync(wanted);
        await running;
      }
    });
  },
);
