import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Stack, type App, type AppProps } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { addMigration, loadMigration, newApp, type MigrationStacks } from '../../lib/app';
import {
  resolveSettings,
  type MigrationSettings,
  type NetworkSettings,
  type ResolvedSettings,
} from '../../lib/settings';
import { CALLED_SERVICES } from '../../lib/settings/network-types';

const directories: string[] = [];

afterAll(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

/** Leaves out what takes time and is in no template: the tree, and where in the source each construct was made. */
export const LEAN: AppProps = { treeMetadata: false, context: { 'aws:cdk:disable-stack-trace': true } };

/** An app as `cdk synth` makes it, with the flags of cdk.json; validation is a test of its own, since it takes seconds. */
export function testApp(): App {
  const outdir = mkdtempSync(join(tmpdir(), 'ibex-cdk-'));
  directories.push(outdir);
  return newApp({ ...LEAN, outdir, builtinCloudFormationValidation: false });
}

/** A stack to put one construct into. */
export const testStack = (name = 'shop-migration'): Stack => new Stack(testApp(), name);

/** The least that settings must hold. */
export const leastSettings: MigrationSettings = {
  name: 'shop',
  source: { version: 11, reach: 'public', cidrs: 'anywhere' },
  network: { httpEgress: 'anywhere' },
  endpoint: { scheme: 'internal', allowedCidrs: ['10.0.0.0/8'] },
};

/** A network whose host and poolers reach a mirror and AWS inside the VPC, and nothing else, by HTTP. */
export const limitedNetwork: NetworkSettings = {
  httpEgress: { cidrs: ['192.168.40.10/32'], prefixListIds: ['pl-6da54004'] },
  interfaceEndpoints: CALLED_SERVICES,
};

export const resolved = (settings: Partial<MigrationSettings> = {}): ResolvedSettings =>
  resolveSettings({ ...leastSettings, ...settings });

/** Both stacks of these settings. */
export function stacksOf(settings: MigrationSettings): MigrationStacks & { app: App } {
  const app = testApp();
  return { app, ...addMigration(app, settings) };
}

interface Templates {
  readonly target: Template;
  readonly migration: Template;
}

const made = new Map<string, Templates>();

/** Both templates of these settings; the same ones whenever a file asks again. */
export function templatesOf(settings: MigrationSettings): Templates {
  const key = JSON.stringify(settings);
  const known = made.get(key);
  if (known) return known;
  const { target, migration } = stacksOf(settings);
  const templates = { target: Template.fromStack(target), migration: Template.fromStack(migration) };
  made.set(key, templates);
  return templates;
}

/** Both templates of a migration of this repository. */
export const templatesOfExample = (name: string) => templatesOf(loadMigration(name));

/** The statement of this name in any policy of the template. */
export function statement(template: Template, sid: string): Record<string, unknown> {
  const policies = Object.values(template.findResources('AWS::IAM::Policy'));
  const statements = policies.flatMap(
    (policy) =>
      (policy['Properties'] as { PolicyDocument: { Statement: Record<string, unknown>[] } }).PolicyDocument.Statement,
  );
  const found = statements.find((each) => each['Sid'] === sid);
  if (!found) throw new Error(`no statement ${sid} in any policy`);
  return found;
}

/** Properties of the first resource of this type, and of this logical id where one is given. */
export function propertiesOf<T = Record<string, unknown>>(template: Template, type: string, id = /^/): T {
  const found = Object.entries(template.findResources(type)).find(([name]) => id.test(name));
  if (!found) throw new Error(`no ${type} with a name like ${id} in the template`);
  return found[1]['Properties'] as T;
}

/** A value of a template as text, with `${Name}` where a reference stands. */
export function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  const node = value as Record<string, unknown>;
  const join = node['Fn::Join'] as [string, unknown[]] | undefined;
  if (join) return join[1].map(textOf).join(join[0]);
  if ('Fn::Base64' in node) return textOf(node['Fn::Base64']);
  if ('Ref' in node) return `\${${String(node['Ref'])}}`;
  return `\${${JSON.stringify(value)}}`;
}

/**
 * Hides in snapshots what changes with every edit of a program: hashes of assets and the release that is made of them.
 * Decisions stay visible.
 */
export const maskHashes = (text: string): string => text.replace(/\b([0-9a-f]{64}|[0-9a-f]{16})\b/g, '<hash>');
