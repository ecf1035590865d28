import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AgentConfig } from '../../../assets/agent/config';
import { Failure } from '../../../assets/agent/errors';
import { addMigration, newApp } from '../../app';
import type { MigrationSettings } from '../../settings';
import { isMap, type SsmDocument } from '../automation/document';
import type { Resource } from '../stand-ins';
import { Template, type TemplateJson } from '../template';
import { system } from './programs';

/** What the stacks of a migration hold for its host, with names in the place of references. */
export interface Synthesized {
  readonly stackName: string;
  /** The script that the instance runs at its first boot, byte for byte. */
  readonly userData: string;
  /** SSM parameter with the host program's configuration. */
  readonly parameter: { readonly name: string; readonly value: string };
  readonly configuration: AgentConfig;
  readonly documents: ReadonlyMap<string, SsmDocument>;
  /** Zip file of the host program, and where the install document finds it. */
  readonly program: { readonly file: string; readonly bucket: string; readonly key: string };
}

/** What stands for things that AWS would name. */
export interface Names {
  readonly volumeId: string;
  readonly signalUrl: string;
  /** Host name of the target. */
  readonly targetHost: string;
}

/** Synthesizes a migration and takes out what its host gets. @param directory gets the cloud assembly */
export async function synthesizeHost(
  settings: MigrationSettings,
  directory: string,
  names: Names,
): Promise<Synthesized> {
  mkdirSync(directory);
  const app = newApp({ outdir: directory, builtinCloudFormationValidation: false });
  const { migration } = addMigration(app, settings);
  const assembly = app.synth();
  const { stackName, templateFile } = assembly.getStackByName(migration.stackName);
  const json = JSON.parse(readFileSync(join(directory, templateFile), 'utf8')) as TemplateJson;
  const idOf = (type: string, name = /^/): string => logicalId(json, type, name);
  const own = {
    [idOf('AWS::EC2::Volume')]: names.volumeId,
    [idOf('AWS::CloudFormation::WaitConditionHandle')]: names.signalUrl,
  };
  const parameterId = idOf('AWS::SSM::Parameter', /Configuration/);
  const parameterOf = (values: Readonly<Record<string, string>>): { template: Template; value: string } => {
    const template = new Template(json, { stackName, values: { ...own, ...values } });
    return { template, value: String(template.resolve(propertiesOf(json, parameterId)['Value'])) };
  };
  // The target's address is an output of the other stack; the stand-in that the first look finds tells its name.
  const { target, aws } = JSON.parse(parameterOf({}).value) as AgentConfig;
  const name = String(propertiesOf(json, parameterId)['Name']);
  const servers = [...(aws?.instances ?? []), ...(aws?.cluster === undefined ? [] : [aws.cluster])];
  const values = {
    [referenceOf(target.host)]: names.targetHost,
    ...Object.fromEntries(servers.map((server, index) => [referenceOf(server), `shop-${index + 1}`])),
    [parameterId]: name,
  };
  const { template, value } = parameterOf(values);
  const configuration = JSON.parse(value) as AgentConfig;
  if (configuration.target.host !== names.targetHost) {
    throw new Failure(`the configuration's target.host is ${String(configuration.target.host)}, and no reference`);
  }
  const documents = template.documents();
  const install = documents.get(`${stackName}-install`);
  const defaults = (install as { parameters?: Record<string, { default?: unknown }> } | undefined)?.parameters;
  const [bucket, key] = [String(defaults?.['Bucket']?.default), String(defaults?.['Key']?.default)];
  const file = join(directory, key);
  await system('zip', ['-q', '-r', file, '.'], { cwd: join(directory, `asset.${key.replace(/\.zip$/, '')}`) });
  return {
    stackName,
    userData: userDataOf(template, propertiesOf(json, idOf('AWS::EC2::Instance'))['UserData']),
    parameter: { name, value },
    configuration,
    documents,
    program: { file, bucket, key },
  };
}

/** What a stand-in stands for. */
const referenceOf = (standIn: string | undefined): string => String(standIn).replace('stand-in:', '');

function userDataOf(template: Template, userData: unknown): string {
  if (isMap(userData) && 'Fn::Base64' in userData) return String(template.resolve(userData['Fn::Base64']));
  throw new Failure('the instance of the template has no user data');
}

function logicalId(json: TemplateJson, type: string, name: RegExp): string {
  const found = Object.entries(json.Resources).find(([id, { Type }]) => Type === type && name.test(id));
  if (!found) throw new Failure(`the template has no ${type}`);
  return found[0];
}

const propertiesOf = (json: TemplateJson, id: string): Readonly<Record<string, unknown>> =>
  (json.Resources[id] as Resource).Properties ?? {};
