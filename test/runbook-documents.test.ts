import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Template } from 'aws-cdk-lib/assertions';
import { ASIDE, PHASES } from '../lib/phases';
import { Runbooks } from '../lib/runbooks';
import { testStack } from './helpers/app';

const DEFAULTS = { AutomationAssumeRole: 'role', InstanceId: 'i-1', CommandDocument: 'shop-migration-job' };

function runbooks(directory?: string): {
  readonly names: Readonly<Record<string, string>>;
  readonly template: Template;
} {
  const stack = testStack();
  const { names } = new Runbooks(stack, 'Runbooks', {
    prefix: 'shop-migration',
    defaults: DEFAULTS,
    ...(directory !== undefined && { directory }),
  });
  return { names, template: Template.fromStack(stack) };
}

const { names, template } = runbooks();

interface Content {
  readonly parameters: Record<string, { readonly default?: unknown }>;
}
const contentOf = (name: string): Content => {
  const documents = Object.values(template.findResources('AWS::SSM::Document'));
  return documents.find((document) => document['Properties'].Name === name)?.['Properties'].Content as Content;
};

test('each phase has a document, and so has the whole', () => {
  expect(Object.keys(names).sort()).toEqual([...PHASES, 'migrate', 'snapshot'].sort());
  expect(names['dump']).toBe('shop-migration-dump');
});

test('a change makes a new version, never a new document', () => {
  template.allResourcesProperties('AWS::SSM::Document', { UpdateMethod: 'NewVersion', DocumentType: 'Automation' });
});

test('role, host and command are there by default, so that an operator only presses start', () => {
  for (const phase of PHASES) {
    const { parameters } = contentOf(`shop-migration-${phase}`);
    const given = Object.fromEntries(Object.keys(DEFAULTS).map((name) => [name, parameters[name]?.default]));
    expect(given).toEqual(DEFAULTS);
  }
});

test('migrate knows the document of each phase that it runs', () => {
  const { parameters } = contentOf('shop-migration-migrate');
  for (const phase of PHASES.filter((one) => !ASIDE.includes(one))) {
    const name = `${phase.charAt(0).toUpperCase()}${phase.slice(1)}Runbook`;
    expect(parameters[name]?.default).toBe(`shop-migration-${phase}`);
  }
});

test('a parameter without a default here keeps its own', () => {
  expect(contentOf('shop-migration-dump').parameters['WaitSeconds']?.default).toBe('10800');
});

test('documents are made one after another, since Systems Manager throttles', () => {
  const resources = Object.values(template.findResources('AWS::SSM::Document'));
  expect(resources.filter((resource) => resource['DependsOn'] === undefined)).toHaveLength(1);
});

test('a runbook above 64 KB is refused by name', () => {
  const directory = mkdtempSync(join(tmpdir(), 'ibex-runbooks-'));
  try {
    writeFileSync(join(directory, 'long.yaml'), `description: ${'x'.repeat(70_000)}`);
    expect(() => runbooks(directory)).toThrow(/^runbook long has 70013 bytes; Systems Manager takes 65536$/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
