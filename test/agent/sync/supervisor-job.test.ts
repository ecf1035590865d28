import { spawn, type ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AgentConfig } from '../../../assets/agent/config';
import { identify } from '../../../assets/agent/process';
import {
  heldDirection,
  holdSupervisor,
  startSupervisor,
  unwantSync,
  wantedDirection,
  wantHeldSync,
} from '../../../assets/agent/sync/supervisor-job';

let directory: string;
let config: AgentConfig;
let supervisor: ChildProcess;
beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), 'ibex-supervisor-job-'));
  config = { migration: 'test', host: { stateDirectory: directory } } as unknown as AgentConfig;
  supervisor = spawn('sleep', ['60']);
  const record = { phase: 'supervise', process: identify(supervisor.pid as number), startedAt: Date.now() };
  fs.mkdirSync(join(directory, 'jobs'));
  fs.writeFileSync(join(directory, 'jobs', 'supervise.json'), JSON.stringify(record));
});
afterEach(() => {
  jest.restoreAllMocks();
  supervisor.kill('SIGKILL');
  fs.rmSync(directory, { recursive: true });
});

/** What work has the disk keep, and when it renames, in its order. */
async function kept(work: () => unknown): Promise<string[]> {
  const calls: string[] = [];
  const { fsyncSync, renameSync } = fs;
  jest.spyOn(fs, 'fsyncSync').mockImplementation((file) => {
    const name = fs.readlinkSync(`/proc/self/fd/${file}`).replace(directory, '');
    calls.push(name === '' ? 'names' : name);
    fsyncSync(file);
  });
  jest.spyOn(fs, 'renameSync').mockImplementation((from, to) => {
    calls.push('rename');
    renameSync(from, to);
  });
  await work();
  jest.restoreAllMocks();
  return calls;
}

const sync = (): unknown => ({ wanted: wantedDirection(config), held: heldDirection(config) });

it('whether the sync is wanted, and in which direction, is on the disk at each step: no loss of power empties or undoes it', async () => {
  expect(await kept(() => startSupervisor(config, 'back'))).toEqual(['/sync.wanted.new', 'rename', 'names']);
  expect(sync()).toEqual({ wanted: 'back' });
  expect(await kept(() => holdSupervisor(config))).toEqual(['rename', 'names']);
  expect(sync()).toEqual({ held: 'back' });
  expect(await kept(() => wantHeldSync(config))).toEqual(['rename', 'names']);
  expect(sync()).toEqual({ wanted: 'back' });
  expect(await kept(() => unwantSync(config))).toEqual(['names']);
  expect(sync()).toEqual({});
});

it('a direction that is not one of the two is none, and the file is named with the way on', () => {
  fs.writeFileSync(join(directory, 'sync.wanted'), '');
  const words =
    /sync\.wanted says neither forward nor back, but "": remove it, then start sync again or, where the target takes the writes, cutover$/;
  expect(() => wantedDirection(config)).toThrow(words);
  expect(() => heldDirection(config)).toThrow(words);
  fs.rmSync(join(directory, 'sync.wanted'));
  expect(sync()).toEqual({});
});
