import { Timeline } from '../../../assets/agent/cutover/timeline';
import { Failure } from '../../../assets/agent/errors';
// Reads its command line at once, and comes to the first step long after what follows here has been done.
import '../../../assets/agent/main';

/** How long the work of a step has been going on when the program dies in its midst; milliseconds. */
const MIDST_MS = 3;

const { IBEX_TEST_STEP: dying, IBEX_TEST_MOMENT: moment, IBEX_TEST_FAILING: failing } = process.env;
const step = Timeline.prototype.step;

function die(): void {
  process.kill(process.pid, 'SIGKILL');
}

Timeline.prototype.step = function <T>(this: Timeline, ...[name, work, bounded]: Parameters<typeof step<T>>) {
  if (name === dying && moment === 'before') die();
  if (name === dying) setTimeout(die, MIDST_MS);
  const refuse = (): Promise<never> => Promise.reject(new Failure('the test wants it to fail'));
  return step.call(this, name, name === failing ? refuse : work, bounded) as Promise<T>;
};
