import { parse } from 'yaml';
import { Failure } from '../../assets/agent/errors';
import { type AutomationDocument, isMap, type SsmDocument } from './automation/document';
import { NO_VALUE, type Place, pseudoParameter, referenceStandIn, attributeStandIn, type Resource } from './stand-ins';

/** A CloudFormation template, as `cdk synth` writes it. */
export interface TemplateJson {
  readonly Resources: Readonly<Record<string, Resource>>;
  readonly Parameters?: Readonly<Record<string, { readonly Type: string; readonly Default?: unknown }>>;
}

/** A template whose references stand for something, without an account. */
export class Template {
  private readonly place: Place;

  /**
   * @param json the template
   * @param options.values what references stand for, where it matters: `LogicalId` for Ref, `LogicalId.Attribute` for
   * Fn::GetAtt, the name of the export for Fn::ImportValue, `Stack.Output` for Fn::GetStackOutput; everything
   * else gets a stand-in that can be told as one
   */
  constructor(
    private readonly json: TemplateJson,
    private readonly options: Partial<Place> & { readonly values?: Readonly<Record<string, unknown>> } = {},
  ) {
    const { region = 'eu-central-1', accountId = '123456789012', stackName = 'ibex' } = options;
    this.place = { region, accountId, stackName };
  }

  /** All Automation and Command documents, by the name that they have in the account. */
  documents(): Map<string, SsmDocument> {
    return new Map(
      Object.entries(this.json.Resources)
        .filter(([, resource]) => resource.Type === 'AWS::SSM::Document')
        .map(([logicalId, resource]) => [String(this.reference(logicalId)), this.content(logicalId, resource)]),
    );
  }

  /** Replaces the intrinsic functions in a value. Throws Failure on one that is not known. */
  resolve(value: unknown): unknown {
    if (Array.isArray(value)) return value.map((item) => this.resolve(item)).filter((item) => item !== NO_VALUE);
    if (!isMap(value)) return value;
    const [[name, argument] = ['', undefined], ...others] = Object.entries(value);
    if (others.length === 0 && (name === 'Ref' || name.startsWith('Fn::'))) return this.intrinsic(name, argument);
    return Object.fromEntries(
      Object.entries(value)
        .map(([key, item]) => [key, this.resolve(item)])
        .filter(([, item]) => item !== NO_VALUE),
    );
  }

  private content(logicalId: string, resource: Resource): SsmDocument {
    const resolved = this.resolve(resource.Properties?.['Content']);
    const document: unknown = typeof resolved === 'string' ? parse(resolved) : resolved;
    if (isMap(document) && Array.isArray(document['mainSteps'])) return document as unknown as SsmDocument;
    throw new Failure(`document ${logicalId} of the template has no steps; synthesize it again`);
  }

  private intrinsic(name: string, argument: unknown): unknown {
    if (name === 'Ref') return this.reference(String(argument));
    if (name === 'Fn::Sub') return this.substitute(argument);
    if (name === 'Fn::ImportValue') {
      const exported = String(this.resolve(argument));
      return this.options.values?.[exported] ?? `stand-in:${exported}`;
    }
    if (name === 'Fn::GetStackOutput') {
      const { StackName, OutputName } = this.resolve(argument) as Readonly<Record<string, unknown>>;
      const output = `${String(StackName)}.${String(OutputName)}`;
      return this.options.values?.[output] ?? `stand-in:${output}`;
    }
    if (name === 'Fn::GetAtt') {
      const parts = typeof argument === 'string' ? argument.split('.') : (this.resolve(argument) as string[]);
      return this.attribute(parts[0] ?? '', parts.slice(1).join('.'));
    }
    const [first, second] = (Array.isArray(argument) ? argument : []).map((item) => this.resolve(item));
    if (name === 'Fn::Join') return (second as unknown[]).map(String).join(String(first));
    if (name === 'Fn::Split') return String(second).split(String(first));
    if (name === 'Fn::Select') return (second as unknown[])[Number(first)];
    throw new Failure(`the template uses ${name}, which the rehearsal does not know`);
  }

  private reference(name: string): unknown {
    const given = this.options.values?.[name];
    if (given !== undefined) return given;
    if (name.startsWith('AWS::')) return pseudoParameter(name, this.place);
    const parameter = this.json.Parameters?.[name];
    if (parameter) return parameter.Default ?? `stand-in:${name}`;
    return referenceStandIn(name, this.properties(name), this.place);
  }

  private attribute(logicalId: string, attribute: string): unknown {
    const given = this.options.values?.[`${logicalId}.${attribute}`];
    return given ?? attributeStandIn(logicalId, attribute, this.properties(logicalId), this.place);
  }

  private properties(logicalId: string): Resource {
    const resource = this.json.Resources[logicalId];
    if (!resource) throw new Failure(`the template refers to ${logicalId}, which it does not have`);
    const { Name, TopicName, RoleName } = resource.Properties ?? {};
    return { Type: resource.Type, Properties: this.resolve({ Name, TopicName, RoleName }) as Record<string, unknown> };
  }

  private substitute(argument: unknown): string {
    const [text, given]: readonly unknown[] = Array.isArray(argument) ? (argument as unknown[]) : [argument];
    const variables: Record<string, unknown> = isMap(given) ? given : {};
    return String(text).replace(/\$\{(!?)([^}]+)\}/g, (_, literal: string, name: string) => {
      if (literal === '!') return `\${${name}}`;
      if (Object.hasOwn(variables, name)) return String(this.resolve(variables[name]));
      const [logicalId = '', ...attribute] = name.split('.');
      return String(attribute.length > 0 ? this.attribute(logicalId, attribute.join('.')) : this.reference(name));
    });
  }
}

/** A runbook with other defaults for parameters that it has; the rest of it is the same. */
export function withDefaults(
  document: AutomationDocument,
  defaults: Readonly<Record<string, unknown>>,
): AutomationDocument {
  const parameters = { ...document.parameters };
  for (const [name, definition] of Object.entries(parameters)) {
    if (Object.hasOwn(defaults, name)) parameters[name] = { ...definition, default: defaults[name] };
  }
  return { ...document, parameters };
}
