import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Validations } from 'aws-cdk-lib';
import type { CloudAssembly } from 'aws-cdk-lib/cx-api';
import { AwsSolutionsChecks } from 'cdk-nag';
import { addMigration, loadMigration, migrationNames, newApp } from '../lib/app';
import { DEFAULT_NODE } from '../lib/settings/defaults';
import type { MigrationSettings } from '../lib/settings';
import { LEAN, leastSettings, limitedNetwork } from './helpers/app';
import { ACKNOWLEDGED } from './helpers/nag-findings';

interface TemplateJson {
  readonly Resources: Readonly<
    Record<string, { readonly Type: string; readonly Properties?: Record<string, unknown> }>
  >;
  readonly Outputs?: object;
  readonly Parameters?: object;
}

const outdir = mkdtempSync(join(tmpdir(), 'ibex-guard-'));
afterAll(() => rmSync(outdir, { recursive: true, force: true }));

let runs = 0;
/** Templates of both stacks of each of these migrations, in one app, as `cdk synth` makes them but for the validation. */
function synthesize(migrations: readonly MigrationSettings[]): Readonly<Record<string, TemplateJson>> {
  runs += 1;
  const app = newApp({ ...LEAN, outdir: join(outdir, String(runs)), builtinCloudFormationValidation: false });
  for (const settings of migrations) addMigration(app, settings);
  return templatesOf(app.synth());
}
const templatesOf = (assembly: CloudAssembly): Readonly<Record<string, TemplateJson>> =>
  Object.fromEntries(assembly.stacks.map((stack) => [stack.stackName, stack.template as TemplateJson]));

const examples = migrationNames().map(loadMigration);

describe('all migrations of this repository in one app, strictly validated and looked at by cdk-nag', () => {
  interface Report {
    readonly pluginReports: readonly {
      readonly pluginName: string;
      readonly violations: readonly {
        readonly ruleName: string;
        readonly description: string;
        readonly violatingConstructs: readonly { readonly constructPath: string }[];
      }[];
    }[];
  }
  const directory = join(outdir, 'validated');
  let report: Report;

  beforeAll(() => {
    const app = newApp({ ...LEAN, outdir: directory });
    for (const settings of examples) addMigration(app, settings);
    Validations.of(app).addPlugins(new AwsSolutionsChecks());
    // It throws, and prints, what is acknowledged below.
    const printed = jest.spyOn(console, 'error').mockImplementation(() => undefined);
    expect(() => app.synth()).toThrow(/AwsSolutions/);
    printed.mockRestore();
    report = JSON.parse(readFileSync(join(directory, 'validation-report.json'), 'utf8')) as Report;
  });

  const findings = (): { rule: string; at: string }[] =>
    report.pluginReports
      .filter(({ pluginName }) => pluginName === 'AwsSolutions')
      .flatMap(({ violations }) => violations)
      .flatMap(({ ruleName, violatingConstructs }) =>
        violatingConstructs.map(({ constructPath }) => ({
          rule: ruleName
            .replace(/(:document|:automation-definition)\/[a-z-]+-(migration|target)-/, '$1/<migration>-$2-')
            .replace(/<ArtifactsBucket\w+\.Arn>/, '<ArtifactsBucket.Arn>'),
          at: constructPath.slice(constructPath.indexOf('/') + 1),
        })),
      );

  test('the built-in rules find nothing, not even a warning', () => {
    const others = report.pluginReports.filter(({ pluginName }) => pluginName !== 'AwsSolutions');
    expect(others.flatMap(({ violations }) => violations)).toEqual([]);
    expect(others.map(({ pluginName }) => pluginName)).toContain('CloudFormation Validate');
  });

  test('cdk-nag finds what is acknowledged, and nothing else', () => {
    const unknown = findings().filter(
      (finding) => !ACKNOWLEDGED.some(({ rule, at }) => rule === finding.rule && at.test(finding.at)),
    );
    expect(unknown).toEqual([]);
  });

  test.each(ACKNOWLEDGED)('$rule at $at is still there, for a reason', ({ rule, at, reason }) => {
    expect(findings().some((finding) => rule === finding.rule && at.test(finding.at))).toBe(true);
    expect(reason).toMatch(/^[A-Z].{20,}\.$/);
  });
});

describe('templates', () => {
  const first = synthesize(examples);

  test('no two stacks have the same name', () => {
    const names = examples.flatMap(({ name }) => [`${name}-target`, `${name}-migration`]);
    expect(Object.keys(first).sort()).toEqual(names.sort());
  });

  test.each(Object.keys(first))('%s is within the limits of CloudFormation', (name) => {
    const template = first[name];
    expect(Buffer.byteLength(JSON.stringify(template))).toBeLessThan(1_000_000);
    expect(Object.keys(template?.Resources ?? {}).length).toBeLessThan(500);
    expect(Object.keys(template?.Outputs ?? {}).length).toBeLessThan(200);
    expect(Object.keys(template?.Parameters ?? {}).length).toBeLessThan(200);
  });

  test('are the same when they are made again: `cdk diff` has nothing to say', () => {
    expect(synthesize(examples)).toEqual(first);
  });

  test('hold no password: each secret is generated, or refers to another', () => {
    for (const template of Object.values(first)) {
      for (const { Type, Properties = {} } of Object.values(template.Resources)) {
        if (Type !== 'AWS::SecretsManager::Secret' || Properties['GenerateSecretString']) continue;
        expect(JSON.stringify(Properties['SecretString'])).toMatch(
          /\{\{resolve:secretsmanager:.*:SecretString:password::\}\}/,
        );
      }
    }
  });

  test('open nothing to every address but what the settings say in words', () => {
    interface Rule {
      readonly CidrIp?: string;
      readonly CidrIpv6?: string;
      readonly FromPort?: number;
    }
    const open = ({ Resources }: TemplateJson): string[] =>
      Object.entries(Resources).flatMap(([id, { Type, Properties = {} }]) => {
        const inline = ['SecurityGroupIngress', 'SecurityGroupEgress'].flatMap((key) =>
          ((Properties[key] ?? []) as readonly Rule[]).map((rule) => [key.replace('SecurityGroup', ''), rule] as const),
        );
        const own = /^AWS::EC2::SecurityGroup(Ingress|Egress)$/.exec(Type)?.[1];
        return [...inline, ...(own === undefined ? [] : [[own, Properties as Rule] as const])]
          .filter(([, { CidrIp, CidrIpv6 }]) => CidrIpv6 !== undefined || CidrIp?.endsWith('/0'))
          .map(([way, { FromPort }]) => `${id.replace(/SecurityGroup.*$/, '')} ${way} ${FromPort}`);
      });
    for (const { name, source, network, endpoint } of examples) {
      const http = network.httpEgress === 'anywhere' ? [443, 80] : [];
      const out = source.cidrs === 'anywhere' ? [...http, source.port ?? 5432] : http;
      const ports = (group: string, list: readonly number[]): string[] => list.map((port) => `${group} Egress ${port}`);
      expect(endpoint.allowEveryAddress ?? false).toBe(false);
      expect(open(first[`${name}-migration`]!)).toEqual(ports('Host', out));
      expect(open(first[`${name}-target`]!)).toEqual(
        endpoint.pooler ? ports('Pooler', endpoint.pooler.source ? out : http) : [],
      );
    }
    const closed = synthesize([
      { ...leastSettings, source: { ...leastSettings.source, cidrs: ['203.0.113.7/32'] }, network: limitedNetwork },
    ]);
    expect(Object.values(closed).flatMap(open)).toEqual([]);
  });

  test('put the tags of the settings on whatever can have them, each migration its own', () => {
    for (const { name, tags = {} } of examples) {
      const cluster = Object.values(first[`${name}-migration`]?.Resources ?? {}).find(
        ({ Type }) => Type === 'AWS::EC2::Volume',
      );
      const entries = Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
      expect(cluster?.Properties?.['Tags']).toEqual(expect.arrayContaining(entries));
      expect(cluster?.Properties?.['Tags'] ?? []).not.toHaveLength(0);
      expect(((cluster?.Properties?.['Tags'] ?? []) as unknown[]).length).toBeLessThanOrEqual(entries.length + 1);
    }
  });
});

describe('what holds data or runs the migration', () => {
  const PRECIOUS =
    /^AWS::(EC2::(Instance|Volume|VolumeAttachment|LaunchTemplate)|RDS::.*|KMS::Key|ElasticLoadBalancingV2::.*|CloudFormation::.*)$/;
  const precious = (settings: MigrationSettings): Record<string, unknown> =>
    Object.fromEntries(
      Object.entries(synthesize([settings])).flatMap(([stack, { Resources }]) =>
        Object.entries(Resources)
          .filter(([, { Type }]) => PRECIOUS.test(Type))
          .map(([id, resource]) => [`${stack}/${id}`, resource]),
      ),
    );
  const standard = precious(leastSettings);

  test('is not touched by the tuning of the program, thresholds, approvers or how long reports are kept', () => {
    const other: MigrationSettings = {
      ...leastSettings,
      agent: { dump: { jobs: 2 }, cutover: { budgetSeconds: 45 }, excludeSchemas: ['x'] },
      notifications: {
        emails: ['ops@example.org'],
        approvers: ['arn:aws:iam::123456789012:role/ops'],
        thresholds: { HostDisk: 70, DatabaseCpu: 95 },
      },
      artifacts: { dataDays: 3 },
    };
    expect(precious(other)).toEqual(standard);
  });

  test('knows neither the program nor a runbook: no hash of an asset is in it', () => {
    const text = JSON.stringify(standard).replaceAll(DEFAULT_NODE.sha256, '');
    expect(text).not.toMatch(/\b[0-9a-f]{64}\b/);
    expect(text).not.toContain('cdk-hnb659fds-assets');
  });

  test('grows in place: a larger volume or a new threshold keeps every logical id', () => {
    const larger = precious({ ...leastSettings, host: { volume: { sizeGiB: 900 } }, target: { readers: 1 } });
    expect(Object.keys(larger)).toEqual(expect.arrayContaining(Object.keys(standard)));
  });
});
