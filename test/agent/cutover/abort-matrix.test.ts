import { describeAborts, goesForward, STEPS, type Abort } from './abort-matrix';

/** Each step once, of a cutover or of a rollback; `npm run test:aborts` has every victim at every moment of both. */
const aborts = STEPS.map((step, index): Abort => ({
  direction: index % 2 === 0 ? 'forward' : 'back',
  step,
  moment: index % 3 === 2 ? 'within' : 'before',
  victim: index % 4 < 2 ? 'command' : 'host',
}));
const [early, late] = [aborts.filter(({ step }) => !goesForward(step)), aborts.filter(({ step }) => goesForward(step))];

describeAborts([
  ...early.filter(({ direction }) => direction === 'forward'),
  ...late,
  ...early.filter(({ direction }) => direction === 'back'),
]);
