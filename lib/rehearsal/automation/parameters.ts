import { ServiceException } from './errors';
import { LIMITS } from './limits';
import { type ParameterDefinition, isMap } from './document';

/** Forms that the service itself demands of the types with a console picker. */
const RESOURCE_TYPES: Readonly<Record<string, RegExp>> = {
  'AWS::EC2::Instance::Id': /^m?i-[a-z0-9]{8,17}$/,
  'AWS::IAM::Role::Arn': /^arn:aws[a-z-]*:iam::\d{12}:role\/[\w+=,.@/-]{1,512}$/,
};

/** Types of parameters that are known here. */
export const PARAMETER_TYPES: readonly string[] = [
  'String',
  'StringList',
  'Boolean',
  'Integer',
  'StringMap',
  'MapList',
  ...Object.keys(RESOURCE_TYPES),
];

/** Parameter values of one execution, by name, of the parameter's type. */
export type ParameterValues = Readonly<Record<string, unknown>>;

/**
 * The values that an execution or a command starts with: what was given, else the defaults, each checked as the service does.
 *
 * @param code name of the exception that is thrown when a value is missing, unknown or not allowed
 */
export function bindParameters(
  definitions: Readonly<Record<string, ParameterDefinition>>,
  given: ParameterValues,
  code = 'InvalidAutomationExecutionParametersException',
): ParameterValues {
  const refuse = (problem: string): never => {
    throw new ServiceException(code, problem);
  };
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(definitions, name)) refuse(`Parameter "${name}" is not defined in the document.`);
  }
  return Object.fromEntries(
    Object.entries(definitions).map(([name, definition]) => {
      const value = given[name] ?? definition.default;
      if (value === undefined) refuse(`Missing required parameter: ${name} in user inputs.`);
      const problem = valueProblem(name, definition, value);
      if (problem !== undefined) refuse(problem);
      return [name, value];
    }),
  );
}

function valueProblem(name: string, definition: ParameterDefinition, value: unknown): string | undefined {
  const { type, allowedValues, allowedPattern } = definition;
  const shown = typeof value === 'string' ? value : JSON.stringify(value);
  if (!hasType(type, value)) return `Parameter "${name}" has value "${shown}" that is not of type ${type}.`;
  if (Array.isArray(value) && value.length > LIMITS.listItems) {
    return `Parameter "${name}" has ${value.length} items; ${LIMITS.listItems} are allowed.`;
  }
  for (const item of Array.isArray(value) ? value : [value]) {
    const text = typeof item === 'string' ? item : JSON.stringify(item);
    if (text.length > LIMITS.parameterValue) {
      return `Parameter "${name}" has a value of ${text.length} characters; ${LIMITS.parameterValue} are allowed.`;
    }
    if (allowedValues && !allowedValues.includes(item)) {
      return `Parameter "${name}" has value "${text}" not found in [${allowedValues.join(', ')}].`;
    }
    if (allowedPattern !== undefined && !new RegExp(allowedPattern).test(text)) {
      return `Parameter "${name}" has value "${text}" not matching "${allowedPattern}".`;
    }
  }
  return undefined;
}

function hasType(type: string, value: unknown): boolean {
  switch (type) {
    case 'String':
      return typeof value === 'string';
    case 'StringList':
      return Array.isArray(value) && value.every((item) => typeof item === 'string');
    case 'Boolean':
      return typeof value === 'boolean';
    case 'Integer':
      return Number.isInteger(value);
    case 'StringMap':
      return isMap(value);
    case 'MapList':
      return Array.isArray(value) && value.every(isMap);
    default:
      return typeof value === 'string' && (RESOURCE_TYPES[type]?.test(value) ?? false);
  }
}

/** What is wrong with the declarations of parameters, before any value is known. */
export function parameterProblems(definitions: Readonly<Record<string, ParameterDefinition>>): string[] {
  const names = Object.keys(definitions);
  const problems =
    names.length > LIMITS.parameters ? [`${names.length} parameters; ${LIMITS.parameters} are allowed`] : [];
  for (const [name, definition] of Object.entries(definitions)) {
    const say = (problem: string): number => problems.push(`parameter ${name}: ${problem}`);
    if (!/^[A-Za-z0-9_]+$/.test(name) || name.length > LIMITS.parameterName) {
      say(`a name has letters, digits and _, at most ${LIMITS.parameterName}`);
    }
    if (!PARAMETER_TYPES.includes(definition.type)) say(`type ${definition.type} is not known`);
    const known = ['type', 'description', 'default', 'allowedPattern', 'allowedValues', 'interpolationType'];
    for (const key of Object.keys(definition)) if (!known.includes(key)) say(`property ${key} is not known`);
    if (definition.allowedPattern !== undefined) {
      const problem = patternProblem(definition.allowedPattern);
      if (problem !== undefined) say(problem);
    }
  }
  return problems;
}

/**
 * Why a pattern may mean different things to the three engines that read it: Java's at the service, RE2 at the agent,
 * and JavaScript's here.
 */
function patternProblem(pattern: string): string | undefined {
  if (/\(\?|\\[1-9kpP]|[*+?}]\+|\\[AzZGQE]/.test(pattern)) {
    return `allowedPattern ${pattern} uses what RE2, Java and JavaScript do not share`;
  }
  if (!pattern.startsWith('^') || !pattern.endsWith('$')) return `allowedPattern ${pattern} is not anchored by ^ and $`;
  try {
    return new RegExp(pattern, 'u').source === '' ? 'allowedPattern is empty' : undefined;
  } catch (error) {
    return `allowedPattern ${pattern} is no regular expression: ${(error as Error).message}`;
  }
}
