import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { App, Tags, type AppProps } from 'aws-cdk-lib';
import type { CloudAssembly } from 'aws-cdk-lib/cx-api';
import { UsageError } from '../assets/agent/errors';
import { ROOT } from './bundle';
import { MigrationStack } from './migration-stack';
import { resolveSettings, type MigrationSettings } from './settings';
import { TargetStack } from './target-stack';

/** The migration that is built when nobody says which. */
export const DEFAULT_MIGRATION = 'heroku-to-aurora';

const DIRECTORY = join(ROOT, 'migrations');

/** Names of the migrations of this repository: the files in migrations/. */
export function migrationNames(): string[] {
  return readdirSync(DIRECTORY)
    .filter((file) => file.endsWith('.ts'))
    .map((file) => file.replace(/\.ts$/, ''))
    .sort();
}

/** Settings of a migration by the name of its file. Throws UsageError that lists those that exist. */
export function loadMigration(name: string): MigrationSettings {
  const names = migrationNames();
  if (!names.includes(name)) {
    throw new UsageError(`no migration ${JSON.stringify(name)} in migrations/; there are: ${names.join(', ')}`);
  }
  const { settings } = require(join(DIRECTORY, name)) as { readonly settings?: MigrationSettings };
  if (!settings) throw new UsageError(`migrations/${name}.ts exports no "settings"`);
  return settings;
}

/** The two stacks of one migration. */
export interface MigrationStacks {
  readonly target: TargetStack;
  readonly migration: MigrationStack;
}

/** Adds the stacks of a migration to an app. Throws UsageError when its settings have mistakes. */
export function addMigration(app: App, input: MigrationSettings): MigrationStacks {
  const settings = resolveSettings(input);
  const target = new TargetStack(app, `${settings.name}-target`, {
    settings,
    description: `Ibex: the target of ${settings.name}; stays`,
  });
  const migration = new MigrationStack(app, `${settings.name}-migration`, {
    settings,
    target,
    description: `Ibex: the migration ${settings.name}; destroyed when it is over`,
  });
  for (const [name, value] of Object.entries(settings.tags)) {
    for (const stack of [target, migration]) Tags.of(stack).add(name, value);
  }
  return { target, migration };
}

/** An app with the feature flags of cdk.json, which only the CDK's command line would read otherwise. */
export function newApp(props: AppProps = {}): App {
  const { context } = JSON.parse(readFileSync(join(ROOT, 'cdk.json'), 'utf8')) as { context: Record<string, unknown> };
  return new App({ ...props, context: { ...context, ...props.context } });
}

/**
 * Synthesizes a migration in this process, as `cdk synth` would, without the validation that takes seconds: for the
 * rehearsal, which runs the documents that are in the templates. `outdir` gets templates and assets.
 */
export function synthesize(migration: string, outdir: string): CloudAssembly {
  const app = newApp({ outdir, builtinCloudFormationValidation: false });
  addMigration(app, loadMigration(migration));
  return app.synth();
}
