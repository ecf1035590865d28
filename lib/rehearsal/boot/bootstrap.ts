import { Failure } from '../../../assets/agent/errors';
import { until } from '../lab/processes';
import type { Signal } from './aws-services';
import type { Machine } from './machine';
import type { World } from './world';

/** Longest run of the user data; milliseconds. */
const TIMEOUT_MS = 420_000;

/** The unit of a run that is not cloud-init's. */
export const RERUN_UNIT = 'ibex-test-bootstrap';

/** Where cloud-init keeps the script that it was given. */
const USER_DATA = '/var/lib/cloud/instance/scripts/part-001';

/** The PostgreSQL project's key, as postgresql-common brings it. */
const PROJECT_KEY = '/usr/share/postgresql-common/pgdg/apt.postgresql.org.asc';

/** Waits for the next thing that the host tells CloudFormation. Throws Failure with the log's end when it tells nothing. */
export async function nextSignal(machine: Machine, world: World, before: number): Promise<Signal> {
  await until(() => world.signals.length > before || !machine.running, TIMEOUT_MS, 200);
  const signal = world.signals[before];
  if (signal) return signal;
  const log = machine.read('/var/log/ibex-bootstrap.log').trim().split('\n').slice(-3).join(' | ');
  throw new Failure(`the bootstrap told CloudFormation nothing in ${TIMEOUT_MS / 1000} s: ${log}`);
}

/** Runs the user data once more, as cloud-init ran it: a service, with next to no environment. */
export async function runAgain(machine: Machine, world: World): Promise<Signal> {
  const before = world.signals.length;
  // Its exit status is in the signal, too.
  await machine.shell(`systemd-run --quiet --wait --collect --unit=${RERUN_UNIT} ${USER_DATA} || true`);
  return nextSignal(machine, world, before);
}

/** Which user data the machine really ran. */
export const userDataOf = (machine: Machine): Promise<string> => machine.run('cat', USER_DATA);

/**
 * Puts another key into the place of the PostgreSQL project's, whose secret half nobody else has. The package that
 * brings the real one puts it aside then, by Debian's own means.
 */
export async function trustInstead(
  machine: Machine,
  key: string,
  inside: (script: string) => Promise<unknown>,
): Promise<void> {
  await inside(`dpkg-divert --local --rename --add --divert ${PROJECT_KEY}.debian ${PROJECT_KEY}`);
  machine.write(PROJECT_KEY, key);
}
