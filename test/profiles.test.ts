import { Match, Template } from 'aws-cdk-lib/assertions';
import { leastSettings, propertiesOf, templatesOf, statement, textOf } from './helpers/app';

const template = templatesOf(leastSettings).migration;

test('the association keeps the profile in force, and the deployment waits for it', () => {
  template.hasResourceProperties('AWS::SSM::Association', {
    AssociationName: 'shop-migration-profile',
    Parameters: { Profile: ['keep'], Values: [Match.stringLikeRegexp('^[0-9a-f]{16}$')] },
    WaitForSuccessTimeoutSeconds: 600,
  });
});

test('it runs again only when a value changes, not with the program or the settings of a migration', () => {
  const valuesOf = (stack: Template): unknown =>
    propertiesOf<{ Parameters: { Values: unknown } }>(stack, 'AWS::SSM::Association', /^Profiles/).Parameters.Values;
  const other = templatesOf({ ...leastSettings, agent: { dump: { jobs: 2 } } }).migration;
  expect(valuesOf(other)).toEqual(valuesOf(template));
});

test('the host may change these two groups and ask after these servers only', () => {
  expect(textOf(statement(template, 'ClusterProfile')['Resource'])).toMatch(/:cluster-pg:/);
  expect(textOf(statement(template, 'InstanceProfile')['Resource'])).toMatch(/:pg:/);
  expect([statement(template, 'PendingRestarts')['Resource']].flat()).toHaveLength(2);
});

test('an output says how the target is made fit for the applications', () => {
  const [output] = Object.values(template.findOutputs('ServeProfile'));
  expect(textOf(output?.['Value'])).toMatch(/ --document-name shop-migration-profile --parameters Profile=serve$/);
});
