import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadMigration } from '../../app';
import type { MigrationSettings } from '../../settings';
import { DEFAULT_NODE } from '../../settings/defaults';
import { openLab, type Lab } from '../lab';
import { ON_ONE_MACHINE } from '../one-machine';
import { nextSignal, runAgain, trustInstead, userDataOf } from './bootstrap';
import { encrypt } from './databases';
import type { Ground } from './ground';
import { difference, listMachine } from './listing';
import { Machine } from './machine';
import { migrateWithReboot } from './migration';
import type { Narrator } from './narrator';
import { system } from './programs';
import { installProgram } from './runbooks';
import { synthesizeHost, type Synthesized } from './synthesized';
import { SIGNAL_URL, SOURCE_HOST, TARGET_HOST, World } from './world';

const NAME = 'debian';
const VOLUME = 'vol-0f9e8d7c6b5a41302';
const EXAMPLE = 'self-hosted-to-rds';
/** Login of the lab's application, whose password the target is given. */
const APPLICATION_SECRET = 'arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop/app-AbCdEf';

/** The example as it is, but for what the lab is smaller in, and for the one role that its application has. */
function settingsOf(node: { url: string; sha256: string }, agent: string): MigrationSettings {
  const settings = loadMigration(EXAMPLE);
  return {
    ...settings,
    host: { ...settings.host, node, ssmAgent: { sha256: agent } },
    agent: {
      ...settings.agent,
      applicationLogins: { shop_app: APPLICATION_SECRET },
      dump: ON_ONE_MACHINE.dump,
      restore: ON_ONE_MACHINE.restore,
      sync: { handoverKeys: ON_ONE_MACHINE.sync.handoverKeys },
      verify: ON_ONE_MACHINE.verify,
      // The lab's login on the source may not set session_replication_role, as on hosted servers.
      cutover: { ...settings.agent?.cutover, wayBack: 'none' },
    },
  };
}

/** A host with Debian's own PostgreSQL: bootstrap, installation, and a migration that a reboot interrupts. */
export async function debianHost(ground: Ground, narrator: Narrator): Promise<void> {
  const say = (line: string): void => narrator.say(NAME, line);
  const check = narrator.check.bind(narrator, NAME);
  const settings = settingsOf({ url: DEFAULT_NODE.url, sha256: ground.node.sha256 }, ground.agent.sha256);
  const names = { volumeId: VOLUME, signalUrl: SIGNAL_URL, targetHost: TARGET_HOST };
  const synthesized = await synthesizeHost(settings, join(ground.directory, `${NAME}.cdk`), names);
  const world = await World.open({ ...ground, node: ground.node.file, bucket: synthesized.program.bucket });
  const { userData } = synthesized;
  const machine = new Machine({
    directory: ground.directory,
    name: NAME,
    base: ground.base,
    volumeId: VOLUME,
    userData,
  });
  const opening = openLab({ sourceVersion: settings.source.version, targetVersion: 17, scale: 1, log: say });
  // Who awaits it below sees its failure; until then it must not end the process.
  opening.catch(() => undefined);
  try {
    await machine.build();
    const lab = await opening;
    await furnish(world, synthesized, lab, ground);
    await world.surround(machine);
    await trustInstead(machine, ground.key, (script) => system('chroot', [machine.root, 'sh', '-c', script]));
    say(`first boot of the host of ${EXAMPLE}`);
    await machine.boot();
    const ready = await nextSignal(machine, world, 0);
    check('the bootstrap ends well at the first boot, and signals it', ready.Status === 'SUCCESS', ready);
    check('the machine ran the synthesized user data, byte for byte', (await userDataOf(machine)) === userData);
    await rerun(machine, world, check);
    await installProgram(machine, synthesized, say, check);
    await machine.shell('systemctl start ibex-metrics');
    const told = [...world.metrics].map(([name, value]) => `${name} ${value}`);
    const expected = told.length === 2 && told.every((line) => /^(DataVolume|Memory)Used [\d.]+ Percent i-/.test(line));
    check('its metrics reach CloudWatch', expected, told);
    await checkRotation(machine, check);
    await migrateWithReboot({ machine, synthesized, lab, rds: world.rds, say, check });
    await replace(machine, world, check);
    check('nothing asked for what nobody answered', world.unanswered.length === 0, world.unanswered);
  } finally {
    await machine.kill();
    await world.close();
    await opening.then(
      (lab) => lab.close(),
      () => undefined,
    );
  }
}

async function furnish(world: World, synthesized: Synthesized, lab: Lab, ground: Ground): Promise<void> {
  const { configuration, parameter, program } = synthesized;
  await encrypt(lab, lab.source, ground.authority, SOURCE_HOST);
  await encrypt(lab, lab.target, ground.authority, TARGET_HOST);
  await world.reach(SOURCE_HOST, lab.source);
  await world.reach(TARGET_HOST, lab.target);
  const login = (name: string): Record<string, unknown> =>
    JSON.parse(readFileSync(join(lab.directory, 'host', 'secrets', name), 'utf8')) as Record<string, unknown>;
  const { username, password, dbname } = login('source');
  const { account } = world;
  account.secrets.set(configuration.source.secret, JSON.stringify({ username, password, dbname, host: SOURCE_HOST }));
  // RDS's own secret has no more than these two; our login is made by the host program.
  const { username: masterName, password: masterPassword } = login('target');
  const master = JSON.stringify({ username: masterName, password: masterPassword });
  account.secrets.set(configuration.target.masterSecret ?? '', master);
  const migrator = { username: 'ibex_migrator', password: randomBytes(20).toString('hex') };
  account.secrets.set(configuration.target.secret, JSON.stringify(migrator));
  account.secrets.set(APPLICATION_SECRET, JSON.stringify(login('application')));
  account.parameters.set(parameter.name, parameter.value);
  account.objects.set(`${program.bucket}/${program.key}`, program.file);
}

type Check = (claim: string, holds: boolean, found?: unknown) => void;

async function rerun(machine: Machine, world: World, check: Check): Promise<void> {
  const before = await listMachine(machine);
  const again = await runAgain(machine, world);
  const changes = difference(before, await listMachine(machine));
  check(`a second run changes nothing (${before.length} lines compared)`, changes.length === 0, changes.slice(0, 10));
  check('and ends well', again.Status === 'SUCCESS', again);
}

/** Logs are rotated as systemd's timer does it, twice: what was rotated is not taken for a log of its own. */
async function checkRotation(machine: Machine, check: Check): Promise<void> {
  const lines = await machine.shell(
    `runuser -u postgres -- mkdir -p /database/ibex/log
     for run in 1 2; do
       runuser -u postgres -- bash -c 'echo line >>/database/ibex/log/example.jsonl'
       logrotate --force /etc/logrotate.d/ibex || echo failed
     done
     cd /database/ibex/log && ls example.* && rm example.*`,
  );
  check('logs are rotated', lines === 'example.jsonl\nexample.jsonl.1.gz\nexample.jsonl.2.gz', lines);
}

/** As a new instance with the old volume: the cluster's configuration is not there, its data is, of another number. */
async function replace(machine: Machine, world: World, check: Check): Promise<void> {
  const databases = `runuser -u postgres -- psql -XAt -d postgres -c "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database"`;
  const before = await machine.shell(databases);
  await machine.shell(
    'systemctl stop ibex-supervise postgresql@15-main; rm -r /etc/postgresql/15/main; chown -R 4242:4242 /database/*',
  );
  const taken = await runAgain(machine, world);
  const after = await machine.shell(databases);
  check(
    'a host that is replaced takes over the cluster on the volume',
    taken.Status === 'SUCCESS' && after === before,
    {
      ...taken,
      after,
    },
  );
}
