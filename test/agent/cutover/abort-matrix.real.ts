import { describeAborts, STEPS } from './abort-matrix';

const MOMENTS = ['before', 'within'] as const;
const VICTIMS = ['command', 'host'] as const;

describeAborts(
  STEPS.flatMap((step) => MOMENTS.flatMap((moment) => VICTIMS.map((victim) => ({ step, moment, victim })))),
);
