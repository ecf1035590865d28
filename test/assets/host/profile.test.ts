import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Template } from 'aws-cdk-lib/assertions';
import type { MigrationSettings } from '../../../lib/settings';
import { leastSettings, propertiesOf, stacksOf, textOf } from '../../helpers/app';

const directories: string[] = [];
afterAll(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

/** The script of the synthesized document, with names for what CloudFormation puts in. */
function scriptOf(settings: Partial<MigrationSettings> = {}): string {
  const template = Template.fromStack(stacksOf({ ...leastSettings, ...settings }).migration);
  const { Content } = propertiesOf<{ Content: { mainSteps: { inputs: { runCommand: unknown[] } }[] } }>(
    template,
    'AWS::SSM::Document',
    /^Profiles/,
  );
  const lines = Content.mainSteps[0]?.inputs.runCommand ?? [];
  return lines.map((line) => textOf(line).replace(/\$\{(AWS::Region|\{".*?\})\}/g, 'token')).join('\n');
}

/** Runs the script as Systems Manager does, with a program `aws` that writes down its calls and answers from a file. */
function host(script: string) {
  const directory = mkdtempSync(join(tmpdir(), 'ibex-profile-'));
  directories.push(directory);
  mkdirSync(join(directory, 'bin'));
  const aws = join(directory, 'bin', 'aws');
  writeFileSync(
    aws,
    `#!/bin/bash\nprintf '%s\\n' "$*" >>"${directory}/calls"\nif [[ -f ${directory}/broken && $* == *modify-db-param* ]]; then exit 254; fi\nif [[ $* == *describe* ]]; then cat "${directory}/pending" 2>/dev/null; fi\nexit 0\n`,
  );
  chmodSync(aws, 0o755);
  return {
    record: join(directory, 'profile'),
    put: (name: 'pending' | 'broken', text: string) => writeFileSync(join(directory, name), text),
    calls: () => (existsSync(join(directory, 'calls')) ? readFileSync(join(directory, 'calls'), 'utf8') : ''),
    run: (profile: string) => {
      rmSync(join(directory, 'calls'), { force: true });
      return spawnSync('sh', ['-c', script], {
        encoding: 'utf8',
        env: { PATH: `${directory}/bin:/usr/bin:/bin`, SSM_Profile: profile, IBEX_STATE: directory },
      });
    },
  };
}

const aurora = scriptOf();
const rds = scriptOf({ target: { engine: 'postgres' } });

test('load sets the dynamic values of the load in both groups of Aurora, at once, and says so in one line', () => {
  const { run, calls } = host(aurora);
  const { status, stdout, stderr } = run('load');
  expect({ status, stdout, stderr }).toEqual({
    status: 0,
    stdout: 'profile load in force; nothing waits for a restart\n',
    stderr: '',
  });
  expect(calls()).toMatch(
    /modify-db-cluster-parameter-group .*"maintenance_work_mem","ParameterValue":"\{DBInstanceClassMemory\/65536\}","ApplyMethod":"immediate"/,
  );
  expect(calls()).toMatch(/modify-db-parameter-group .*"log_min_duration_statement","ParameterValue":"-1"/);
});

test('RDS for PostgreSQL has one group, and its own parameters', () => {
  const { run, calls } = host(rds);
  expect(run('serve').stdout).toBe('profile serve in force; nothing waits for a restart\n');
  expect(calls()).not.toContain('cluster');
  expect(calls()).toMatch(/modify-db-parameter-group .*"max_wal_size","ParameterValue":"4096"/);
});

test('keep puts back the profile that was chosen last, and is load on a new host', () => {
  const { run, calls } = host(aurora);
  expect(run('keep').stdout).toContain('profile load in force');
  run('serve');
  expect(run('keep').stdout).toContain('profile serve in force');
  expect(calls()).toContain('"max_parallel_maintenance_workers","ParameterValue":"2"');
});

test('show changes nothing', () => {
  const { run, calls } = host(aurora);
  expect(run('show').stdout).toContain('profile load in force');
  expect(calls()).not.toContain('modify');
});

test('servers that wait for a restart are named, once', () => {
  const { run, put } = host(aurora);
  put('pending', 'writer\treader\n');
  expect(run('show').stdout).toBe('profile load in force; static values wait for a restart of: reader writer\n');
});

test('a switch that fails is not recorded, and fails the command', () => {
  const { run, put, record } = host(aurora);
  put('broken', '');
  expect(run('serve').status).not.toBe(0);
  expect(existsSync(record)).toBe(false);
});
