import { copyFileSync, appendFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { DEFAULT_NODE } from '../../settings/defaults';
import { loadMigration } from '../../app';
import { nextSignal, runAgain, trustInstead } from './bootstrap';
import type { Ground } from './ground';
import { difference, listMachine } from './listing';
import { Machine } from './machine';
import type { Narrator } from './narrator';
import { DECOY_VERSION, LIBPQ_VERSION } from './postgresql-project';
import { synthesizeHost } from './synthesized';
import { SIGNAL_URL, TARGET_HOST, World } from './world';

const NAME = 'archive';
const VOLUME = 'vol-0a1b2c3d4e5f60718';

/**
 * The default host, whose own PostgreSQL is 11 of the PostgreSQL project's archive: lines, key, pins and order of its
 * package sources against repositories of ours; and what a bootstrap says that fails.
 */
export async function archiveHost(ground: Ground, narrator: Narrator): Promise<void> {
  const say = (line: string): void => narrator.say(NAME, line);
  const check = narrator.check.bind(narrator, NAME);
  const settings = loadMigration('heroku-to-aurora');
  const node = { url: DEFAULT_NODE.url, sha256: ground.node.sha256 };
  const synthesized = await synthesizeHost(
    { ...settings, host: { ...settings.host, node, ssmAgent: { sha256: ground.agent.sha256 } } },
    join(ground.directory, `${NAME}.cdk`),
    { volumeId: VOLUME, signalUrl: SIGNAL_URL, targetHost: TARGET_HOST },
  );
  const spec = { ...ground, node: ground.node.file, bucket: synthesized.program.bucket };
  const world = await World.open(spec);
  const { userData } = synthesized;
  const machine = new Machine({
    directory: ground.directory,
    name: NAME,
    base: ground.base,
    volumeId: VOLUME,
    userData,
  });
  try {
    await machine.build();
    await world.surround(machine);
    spec.agent = { ...ground.agent, file: damagedCopy(ground.agent.file, ground.directory) };
    say('first boot; the SSM agent that is downloaded is not the pinned one');
    await machine.boot();
    const foreign = await nextSignal(machine, world, 0);
    check(
      'a package of the SSM agent with another checksum fails the deployment, and says why',
      fails(foreign, /^SSM agent .*checksum/is),
      foreign,
    );
    const agents = await machine.shell('dpkg-query -W amazon-ssm-agent 2>&1 || true');
    check('and is not installed', /no packages found/.test(agents), agents);

    spec.agent = ground.agent;
    say('second run; the repositories are signed by a key that is not the PostgreSQL project’s');
    const unsigned = await runAgain(machine, world);
    check(
      'an unsigned package source fails the deployment, and says why',
      fails(unsigned, /^package sources .*signature/is),
      unsigned,
    );

    await trustInstead(machine, ground.key, (script) => machine.shell(script));
    spec.node = damagedCopy(ground.node.file, ground.directory);
    say('third run; the key is known, the Node.js that is downloaded is not the pinned one');
    const damaged = await runAgain(machine, world);
    check('a wrong checksum fails the deployment, and says why', fails(damaged, /^Node\.js .*checksum/is), damaged);

    spec.node = ground.node.file;
    say('fourth run; nothing is in the way any more');
    const ready = await runAgain(machine, world);
    check('the run that follows goes on from there, and signals success', ready.Status === 'SUCCESS', ready);
    await checkPackages(machine, check);
    const before = await listMachine(machine);
    await runAgain(machine, world);
    const changes = difference(before, await listMachine(machine));
    check(`another run changes nothing (${before.length} lines compared)`, changes.length === 0, changes.slice(0, 10));
  } finally {
    await machine.kill();
    await world.close();
  }
}

/** A copy of a file, in this directory, with one byte more. */
function damagedCopy(file: string, directory: string): string {
  const copy = join(directory, `damaged-${basename(file)}`);
  copyFileSync(file, copy);
  appendFileSync(copy, '\n');
  return copy;
}

const fails = (signal: { Status: string; Reason: string }, reason: RegExp): boolean =>
  signal.Status === 'FAILURE' && reason.test(signal.Reason);

async function checkPackages(
  machine: Machine,
  check: (claim: string, holds: boolean, found?: unknown) => void,
): Promise<void> {
  const installed = await machine.shell(`dpkg-query -W -f '\${Package} \${Version}\\n'`);
  const version = (name: string): string => new RegExp(`^${name} (.*)$`, 'm').exec(installed)?.[1] ?? 'absent';
  check('the server is 11 of the archive', version('postgresql-11').startsWith('11.22-'), version('postgresql-11'));
  check('no server of Debian came with it', version('postgresql-15') === 'absent', version('postgresql-15'));
  check('client tools and library are the project’s', version('libpq5') === LIBPQ_VERSION, version('libpq5'));
  const foreign = installed.split('\n').filter((line) => line.endsWith(` ${DECOY_VERSION}`));
  check('nothing else was taken from its repositories, though newer there', foreign.length === 0, foreign);
  const server = await machine.shell(
    `runuser -u postgres -- /usr/lib/postgresql/17/bin/psql -XAt -h /var/run/postgresql -d postgres -c "SELECT current_setting('server_version_num')::int / 10000, current_setting('data_directory')"`,
  );
  check('it serves from the data volume', server === '11|/database/postgresql/11/main', server);
}
