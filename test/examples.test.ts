import type { Template } from 'aws-cdk-lib/assertions';
import { migrationNames } from '../lib/app';
import { maskHashes, templatesOfExample } from './helpers/app';

expect.addSnapshotSerializer(maskHashes);

/** A template with the names of the runbooks instead of their text, which stands in assets/runbooks already. */
function withoutRunbooks(template: Template): unknown {
  const copy = structuredClone(template.toJSON()) as { Resources: Record<string, { Properties: unknown }> };
  for (const [name, resource] of Object.entries(copy.Resources)) {
    if (name.startsWith('Runbooks')) resource.Properties = (resource.Properties as { Name: string }).Name;
  }
  return copy;
}

test.each(migrationNames())('%s, both stacks', (name) => {
  const { target, migration } = templatesOfExample(name);
  expect(target.toJSON()).toMatchSnapshot('target');
  expect(withoutRunbooks(migration)).toMatchSnapshot('migration');
});
