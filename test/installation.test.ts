import { Match, Template } from 'aws-cdk-lib/assertions';
import type { AgentConfig } from '../assets/agent/config';
import { leastSettings, propertiesOf, statement, templatesOf, textOf } from './helpers/app';
import type { MigrationSettings } from '../lib/settings';

const templateOf = (settings: Partial<MigrationSettings> = {}): Template =>
  templatesOf({ ...leastSettings, ...settings }).migration;

const standard = templateOf();
const configurationOf = (template: Template): AgentConfig =>
  JSON.parse(
    textOf(propertiesOf(template, 'AWS::SSM::Parameter', /Configuration/)['Value']).replace(
      /\$\{(\{.*?\}\}?\}?)\}/g,
      'token',
    ),
  ) as AgentConfig;
const releaseOf = (template: Template): unknown =>
  (propertiesOf(template, 'AWS::SSM::Association', /Association/)['Parameters'] as { Release: string[] }).Release[0];

test('the configuration holds the settings, the target and where things are on the host', () => {
  expect(configurationOf(templateOf({ agent: { dump: { jobs: 3 }, excludeSchemas: ['heroku_ext'] } }))).toMatchObject({
    migration: 'shop',
    secrets: { kind: 'aws' },
    source: { port: 5432, sslmode: 'verify-full' },
    target: { database: 'app', sslmode: 'verify-full', sslRootCert: '/opt/ibex/rds-global-bundle.pem' },
    excludeSchemas: ['heroku_ext'],
    dump: { jobs: 3, compression: 'gzip:5' },
    host: {
      user: 'postgres',
      stateDirectory: '/database/ibex',
      runDirectory: '/run/ibex',
      clientTools: '/usr/lib/postgresql/17/bin',
    },
  });
});

test('the configuration is found under the name that the host is told', () => {
  standard.hasResourceProperties('AWS::SSM::Parameter', { Name: '/ibex/shop/configuration' });
});

test('the document takes every parameter as a variable, none is pasted into the script', () => {
  const { Content: content } = propertiesOf<{
    Content: {
      parameters: Record<string, { interpolationType: string }>;
      mainSteps: { inputs: { runCommand: string[] } }[];
    };
  }>(standard, 'AWS::SSM::Document', /^Installation/);
  expect(Object.values(content.parameters).map((parameter) => parameter.interpolationType)).toEqual(
    Array.from({ length: 4 }, () => 'ENV_VAR'),
  );
  expect(content.mainSteps[0]?.inputs.runCommand.join('\n')).not.toContain('{{');
});

test('the deployment waits for the installation, which waits for the bootstrap', () => {
  standard.hasResource('AWS::SSM::Association', {
    Properties: { WaitForSuccessTimeoutSeconds: 900 },
    DependsOn: Match.arrayWith([Match.stringLikeRegexp('^HostReady')]),
  });
});

test('a change of the configuration is a new release; the same settings are the same release', () => {
  expect(releaseOf(templateOf())).toBe(releaseOf(standard));
  expect(releaseOf(templateOf({ agent: { dump: { jobs: 3 } } }))).not.toBe(releaseOf(standard));
});

test('the host may read this one object and this one parameter', () => {
  const { Resource } = statement(standard, 'Program');
  expect(textOf(Resource)).toMatch(/:s3:::.*\/[0-9a-f]{64}\.zip$/);
  expect(textOf(statement(standard, 'Configuration')['Resource'])).toMatch(
    /:parameter\$\{InstallationConfiguration\w+\}$/,
  );
});
