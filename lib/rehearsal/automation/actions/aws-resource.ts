import { apiProblems, callApi, select, selectorProblems } from '../aws-api';
import type { Action, Outcome } from './definition';

/** How long waitForAwsResourceProperty rests between two looks; milliseconds. */
const LOOK_EVERY_MS = 2_000;

const CALL: Action['inputs'] = {
  Service: { form: 'string', required: true },
  Api: { form: 'string', required: true },
};

const PROPERTY: Action['inputs'] = {
  ...CALL,
  PropertySelector: { form: 'string', required: true },
  DesiredValues: { form: 'strings', required: true },
};

const propertyProblems: Action['problems'] = (inputs) => [
  ...apiProblems(inputs),
  ...selectorProblems(inputs['PropertySelector']),
];

const wanted = (inputs: Readonly<Record<string, unknown>>, found: unknown): boolean =>
  (inputs['DesiredValues'] as string[]).includes(String(found));

/** aws:executeAwsApi: one call of a service. */
export const executeAwsApi: Action = {
  inputs: CALL,
  moreInputs: true,
  outputs: [],
  inLoop: true,
  onCancel: true,
  problems: apiProblems,
  run: async (_step, { inputs, services, signal }) => {
    await callApi(services.aws, services.region, inputs(), signal);
    return { status: 'Success' };
  },
};

/** aws:waitForAwsResourceProperty: looks until a property has one of the values; only its time-out ends it otherwise. */
export const waitForAwsResourceProperty: Action = {
  inputs: PROPERTY,
  moreInputs: true,
  outputs: [],
  inLoop: true,
  onCancel: true,
  timeoutSeconds: 3_600,
  problems: propertyProblems,
  run: async (_step, { inputs, services, signal }): Promise<Outcome> => {
    const given = inputs();
    for (;;) {
      const found = select(
        await callApi(services.aws, services.region, given, signal),
        String(given['PropertySelector']),
      );
      if (wanted(given, found)) return { status: 'Success' };
      await services.sleep(LOOK_EVERY_MS, signal);
      if (signal.aborted) return { status: 'Failed', message: `It is ${String(found)} still.` };
    }
  },
};

/** aws:assertAwsResourceProperty: one look at a property, which must have one of the values. */
export const assertAwsResourceProperty: Action = {
  inputs: PROPERTY,
  moreInputs: true,
  outputs: [],
  inLoop: true,
  onCancel: true,
  problems: propertyProblems,
  run: async (_step, { inputs, services, signal }) => {
    const given = inputs();
    const selector = String(given['PropertySelector']);
    const found = select(await callApi(services.aws, services.region, given, signal), selector);
    return wanted(given, found)
      ? { status: 'Success' }
      : {
          status: 'Failed',
          message: `${selector} is ${String(found)}, not ${(given['DesiredValues'] as string[]).join()}.`,
        };
  },
};
