import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadMigration, migrationNames, synthesize } from '../lib/app';
import { ROOT } from '../lib/bundle';
import { PHASES } from '../lib/phases';

let outdir: string;

beforeEach(() => {
  outdir = mkdtempSync(join(tmpdir(), 'ibex-synth-'));
});

afterEach(() => rmSync(outdir, { recursive: true, force: true }));

test('migrations are the files in migrations/, each named as its settings say', () => {
  expect(migrationNames()).toContain('heroku-to-aurora');
  for (const name of migrationNames()) expect(loadMigration(name).name).toBe(name);
});

test('an unknown migration is refused with those that exist', () => {
  expect(() => loadMigration('../x')).toThrow(
    expect.objectContaining({
      exitStatus: 2,
      message: expect.stringContaining('no migration "../x" in migrations/; there are: heroku-to-aurora'),
    }),
  );
});

test('a migration is synthesized in this process, with templates and the program in the directory', () => {
  const assembly = synthesize('heroku-to-aurora', outdir);
  expect(assembly.stacks.map((stack) => stack.stackName)).toEqual([
    'heroku-to-aurora-target',
    'heroku-to-aurora-migration',
  ]);
  const template = JSON.parse(readFileSync(join(outdir, 'heroku-to-aurora-migration.template.json'), 'utf8')) as {
    Resources: Record<string, { Type: string; Properties: { Name?: string } }>;
  };
  const documents = Object.values(template.Resources).filter(({ Type }) => Type === 'AWS::SSM::Document');
  expect(documents.map(({ Properties }) => Properties.Name).sort()).toEqual(
    [...PHASES, 'migrate', 'snapshot', 'job', 'install', 'profile', 'collect']
      .map((each) => `heroku-to-aurora-migration-${each}`)
      .sort(),
  );
});

/** As `cdk synth` runs it: without network, context by environment, feature flags and strict validation on. */
const strict = (context: Record<string, string>) =>
  spawnSync(process.execPath, [join(ROOT, 'node_modules', 'tsx', 'dist', 'cli.mjs'), 'bin/app.ts'], {
    cwd: ROOT,
    encoding: 'utf8',
    env: {
      PATH: process.env['PATH'],
      CDK_OUTDIR: outdir,
      CDK_CONTEXT_JSON: JSON.stringify({
        ...(JSON.parse(readFileSync(join(ROOT, 'cdk.json'), 'utf8')) as { context: Record<string, unknown> }).context,
        ...context,
      }),
    },
  });

test('the command of cdk.json synthesizes the default migration, strictly validated, without a word', () => {
  const { status, stderr } = strict({});
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
});

test('an unknown migration ends the app with status 2 and one line', () => {
  const { status, stderr } = strict({ migration: 'nope' });
  expect(status).toBe(2);
  expect(stderr).toMatch(/^ibex: no migration "nope" in migrations\/; there are: .*\n$/);
});
