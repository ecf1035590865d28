import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AgentConfig } from '../../../assets/agent/config';
import { startBothWays, type BothWays } from './both-ways';

let directory: string;
let ways: BothWays;
/** Environment of a run that allows no lag at all. */
let strict: Readonly<Record<string, string>>;

const file = (name: string): string => join(directory, name);
/** What the switch of the writers does from now on: a shell command. */
const writers = (command: string): void => writeFileSync(file('behaviour'), command);
/** Who was told to move where, since it was last asked. */
function told(): string[] {
  const lines = existsSync(file('told')) ? readFileSync(file('told'), 'utf8').trim().split('\n') : [];
  rmSync(file('told'), { force: true });
  return lines;
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ibex-readers-'));
  writers('true');
  const tell = `echo "$0 $1" >> '${file('told')}'`;
  const hook = (who: string, script: string) => ({
    kind: 'command' as const,
    command: ['/bin/sh', '-c', script, who],
    timeoutSeconds: 10,
  });
  const cutover = {
    compareAtFreeze: false,
    switches: [hook('writers', `${tell}; . '${file('behaviour')}'`)],
    readersFirst: { switches: [hook('readers', tell)], lagSeconds: 30 },
  };
  let config: AgentConfig | undefined;
  ways = await startBothWays('CREATE TABLE probe (id int PRIMARY KEY); CREATE TABLE t (id int PRIMARY KEY)', cutover, (migration) => {
    config = migration.config;
    return Promise.resolve({});
  }); // prettier-ignore
  const limited = { ...cutover, readersFirst: { ...cutover.readersFirst, lagSeconds: -1 } };
  writeFileSync(
    file('strict.json'),
    JSON.stringify({ ...config, cutover: { ...config!.cutover, budgetSeconds: 5, ...limited } }),
  );
  strict = { IBEX_CONFIG: file('strict.json') };
});
afterAll(async () => {
  await ways?.stop();
  rmSync(directory, { recursive: true, force: true });
});

const succeeds = async (phase: string): Promise<void> => expect(await ways.run(phase)).toMatchObject({ status: 0 });

it('readers are moved while writes still go on, and go back when the writers do not move', async () => {
  writers('exit 3');
  expect(await ways.run('cutover')).toMatchObject({ status: 1, output: expect.stringContaining('ended with 3') });
  expect(told()).toEqual(['readers target', 'writers target', 'writers source', 'readers source']);
  expect(await ways.takesWrites('source')).toBe(true);
});

it('where the target is not near enough they stay, and move once writes are open', async () => {
  writers('true');
  expect(await ways.die('cutover', strict)).toMatchObject({ status: 0 });
  // The attempt before could not lead its writers back.
  expect(told()).toEqual(['writers source', 'writers target', 'readers target']);
});

it('a rollback moves them the same way', async () => {
  await succeeds('rollback');
  expect(told()).toEqual(['readers source', 'writers source']);
});

it('an attempt that was killed leaves them at the target, and the next one puts all of them back first', async () => {
  writers(`touch '${file('here')}'; sleep 30`);
  await ways.kill('cutover', () => Promise.resolve(existsSync(file('here'))));
  expect(told()).toEqual(['readers target', 'writers target']);
  writers('true');
  await succeeds('cutover');
  expect(told()).toEqual(['writers source', 'readers source', 'readers target', 'writers target']);
});

it('cleanup puts them back, too', async () => {
  rmSync(file('here'));
  writers(`touch '${file('here')}'; sleep 30`);
  await ways.kill('rollback', () => Promise.resolve(existsSync(file('here'))));
  expect(told()).toEqual(['readers source', 'writers source']);
  writers('true');
  await succeeds('cleanup');
  expect(told()).toEqual(['writers target', 'readers target']);
});
