import { describeAborts, STEPS } from './abort-matrix';

/** Each step once; `npm run test:aborts` has every victim at every moment. */
describeAborts(
  STEPS.map((step, index) => ({
    step,
    moment: index % 3 === 2 ? 'within' : 'before',
    victim: index % 2 === 0 ? 'command' : 'host',
  })),
);
