import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { add } from '../../../assets/agent/add';
import { capture } from '../../../assets/agent/capture';
import { cleanup } from '../../../assets/agent/cleanup';
import type { AgentConfig } from '../../../assets/agent/config';
import { Context } from '../../../assets/agent/context';
import { claimMove, keepWorkersOut } from '../../../assets/agent/cutover/claim';
import { Failure, oneLine } from '../../../assets/agent/errors';
import { runPhase, type Phase } from '../../../assets/agent/phase';
import { State } from '../../../assets/agent/state';
import { sync } from '../../../assets/agent/sync';
import { NO_BRAKE } from '../../helpers/no-brake';
import { startPostgres, type TestPostgres } from '../../helpers/postgres';
import { until } from '../../helpers/until';

let host: TestPostgres;
let root: string;
let config: AgentConfig;
/** Phases that have begun to work, which they do with a session on the source. */
let atWork: string[];
/** Lets the first of them end. */
let finish: () => void;

beforeAll(async () => {
  host = await startPostgres();
  root = mkdtempSync(join(tmpdir(), 'ibex-claim-'));
  config = {
    migration: 'test',
    host: { stateDirectory: join(root, 'state'), runDirectory: join(root, 'run'), postgres: { ...host } },
    brake: NO_BRAKE,
  } as unknown as AgentConfig;
  const state = await State.open(config.host);
  for (const phase of ['schema', 'capture', 'copy', 'sync']) {
    await state.phaseStarted(phase);
    await state.phaseEnded(phase, 'succeeded', 'by the test');
  }
  await state.close();
});
afterAll(async () => {
  await host.stop();
  rmSync(root, { recursive: true, force: true });
});
beforeEach(() => {
  atWork = [];
  const finished = new Promise<void>((resolve) => (finish = resolve));
  jest.spyOn(Context.prototype, 'connect').mockImplementation(async function (this: Context) {
    if (this.phase !== 'brake') {
      atWork.push(this.phase);
      if (atWork.length === 1) await finished;
    }
    throw new Failure('ended by the test');
  });
});
afterEach(() => {
  finish();
  jest.restoreAllMocks();
});

const told = (phase: Phase): Promise<string> => runPhase(config, phase).catch(oneLine);

const ADD_IS_REFUSED = 'sync runs already in another process; wait for it';
const SYNC_IS_REFUSED = /^cutover, rollback, finalize, add or cleanup runs already in another process/;

describe('of add and sync only one is at work', () => {
  it('add is refused beside a sync that has just been started', async () => {
    const syncing = told(sync);
    await until(() => atWork.includes('sync'));
    expect(await told(add)).toBe(ADD_IS_REFUSED);
    expect(atWork).toEqual(['sync']);
    finish();
    expect(await syncing).toBe('ended by the test');
  });

  it('sync is refused beside add', async () => {
    const adding = told(add);
    await until(() => atWork.includes('add'));
    expect(await told(sync)).toMatch(SYNC_IS_REFUSED);
    expect(atWork).toEqual(['add']);
    finish();
    expect(await adding).toBe('ended by the test');
  });

  it('when both are started at once one of them goes on, and the other one is told', async () => {
    const ended: string[] = [];
    const both = [add, sync].map(async (phase) => {
      ended.push(await told(phase));
      finish();
    });
    await Promise.all(both);
    expect(atWork).toHaveLength(1);
    expect(ended).toEqual([expect.stringContaining('already in another process'), 'ended by the test']);
  });
});

describe('beside a cleanup nothing is brought to either end', () => {
  it.each([sync, capture])('it is refused while $name runs, before it takes anything away', async (phase) => {
    const working = told(phase);
    await until(() => atWork.includes(phase.name));
    expect(await told(cleanup)).toBe(
      `${phase.name} runs in another process; wait for it, or stop it (docs/runbooks.md, Cancel), then start cleanup again`,
    );
    expect(atWork).toEqual([phase.name]);
    finish();
    expect(await working).toBe('ended by the test');
  });

  it('keeps those out that are started meanwhile, until it ends', async () => {
    const cleaning = await Context.create(config, 'cleanup');
    await claimMove(cleaning);
    await keepWorkersOut(cleaning);
    finish();
    for (const phase of [capture, sync]) {
      expect(await told(phase)).toBe(`${phase.name} runs already in another process, or cleanup does; wait for it`);
    }
    expect(atWork).toEqual([]);
    await cleaning.close();
    expect(await told(capture)).toBe('ended by the test');
  });
});
