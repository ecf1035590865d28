import type { Template } from 'aws-cdk-lib/assertions';
import { migrationNames } from '../lib/app';
import { stringify } from 'yaml';
import { maskHashes, templatesOfExample } from './helpers/app';

/** As YAML, which is read more easily than JSON, and is half as long. */
expect.addSnapshotSerializer({
  test: (value) => typeof value === 'object',
  serialize: (value) => maskHashes(stringify(value, { aliasDuplicateObjects: false, lineWidth: 0 })),
});

interface Resource {
  readonly Type: string;
  Properties: Record<string, unknown>;
}

/** A shell script of assets/host: its text stands there already, and changes without a decision being changed. */
const isScript = (text: string): boolean => text.includes('\nset -euo pipefail\n');

/**
 * A template without what stands in assets already: of runbooks the name, of user data the values before the script, of
 * the profile document the values before it.
 */
function decisions(template: Template): unknown {
  const copy = structuredClone(template.toJSON()) as { Resources: Record<string, Resource> };
  for (const [name, resource] of Object.entries(copy.Resources)) {
    if (name.startsWith('Runbooks')) resource.Properties = { Name: resource.Properties['Name'] };
    if (name.startsWith('ProfilesDocument')) {
      const content = resource.Properties['Content'] as { mainSteps: { inputs: { runCommand: unknown[] } }[] };
      const inputs = content.mainSteps[0]?.inputs ?? { runCommand: [] };
      inputs.runCommand = inputs.runCommand.filter((line) => JSON.stringify(line).includes('export IBEX_'));
    }
  }
  return JSON.parse(JSON.stringify(copy), (_key, value: unknown) =>
    typeof value === 'string' && isScript(value) ? value.slice(0, value.indexOf('\n# ')) : value,
  );
}

test.each(migrationNames())('%s, both stacks', (name) => {
  const { target, migration } = templatesOfExample(name);
  expect(target.toJSON()).toMatchSnapshot('target');
  expect(decisions(migration)).toMatchSnapshot('migration');
});
