import { App } from 'aws-cdk-lib';
import { UsageError } from '../assets/agent/errors';
import { addMigration, DEFAULT_MIGRATION, loadMigration } from '../lib/app';

const app = new App();
try {
  const name: unknown = app.node.tryGetContext('migration') ?? DEFAULT_MIGRATION;
  addMigration(app, loadMigration(String(name)));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`ibex: ${error.message}`);
  process.exit(error.exitStatus);
}
