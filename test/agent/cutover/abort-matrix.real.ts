import type { Direction } from '../../../assets/agent/endpoints';
import { describeAborts, goesForward, STEPS, type Abort } from './abort-matrix';

const VICTIMS = ['command', 'host'] as const;
const MOMENTS = ['before', 'within'] as const;
const DIRECTIONS = ['forward', 'back'] as const;

/** Every victim at every moment of these steps. */
const aborts = (steps: readonly Abort['step'][], directions: readonly Direction[]): Abort[] =>
  steps.flatMap((step) =>
    MOMENTS.flatMap((moment) =>
      VICTIMS.flatMap((victim) => directions.map((direction) => ({ direction, step, moment, victim }))),
    ),
  );

const givesBack = STEPS.filter((step) => !goesForward(step));

// After a step that goes forward the other direction is next of itself.
describeAborts([
  ...aborts(givesBack, ['forward']),
  ...aborts(STEPS.filter(goesForward), DIRECTIONS),
  ...aborts(givesBack, ['back']),
]);
