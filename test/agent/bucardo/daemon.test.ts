import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { killBucardo, startBucardo } from '../../../assets/agent/bucardo/daemon';
import { pidDirectory, processTag } from '../../../assets/agent/bucardo/program';
import type { HostConfig } from '../../../assets/agent/config';

const root = mkdtempSync(join(tmpdir(), 'ibex-daemon-'));
const host = {
  runDirectory: root,
  stateDirectory: root,
  clientTools: '/usr/bin',
  // Its daemon is made by the test.
  bucardo: '/bin/true',
  postgres: { host: '127.0.0.1', port: 1, user: 'postgres' },
} as HostConfig;

let clock: jest.SpyInstance | undefined;
afterEach(async () => {
  clock?.mockRestore();
  await killBucardo(host);
});
afterAll(() => rmSync(root, { recursive: true }));

test.each([
  ['is waited for while it asks about a thousand relations', 1_000, undefined],
  [
    'is given up when there are few, after a time that is named',
    10,
    /does not replicate \(ibex\) 80 s after its start/,
  ],
])('a Bucardo of which no controller runs after two minutes %s', async (_what, relations, failure) => {
  const tag = `(${processTag(host)})`;
  for (const argv0 of [`Bucardo Master ${tag}`, `Bucardo Controller Sync "ibex" ${tag}`])
    spawn('sleep', ['600'], { argv0, stdio: 'ignore' });
  let at = Date.now();
  const begins = at + 120_000;
  clock = jest.spyOn(Date, 'now').mockImplementation(() => {
    at += 20_000;
    if (at > begins) writeFileSync(join(pidDirectory(host), 'bucardo.ctl.sync.ibex.pid'), '');
    return at;
  });
  const started = startBucardo(host, ['ibex'], relations).catch((error: Error) => error.message);

  const expected: unknown = failure === undefined ? undefined : expect.stringMatching(failure);
  expect(await started).toEqual(expected);
});
