import { ServiceException } from './errors';
import { LIMITS } from './limits';
import { bindParameters, parameterProblems, type ParameterValues } from './parameters';
import { type CommandDocument, isMap } from './document';
import { interpolate, referencesIn } from './references';

/** A command as the host runs it. */
export interface Command {
  readonly script: string;
  /** The parameters, as `SSM_<name>`. */
  readonly environment: Readonly<Record<string, string>>;
  /** Seconds after which the process group is killed. */
  readonly executionSeconds: number;
}

const STEP_KEYS = ['name', 'action', 'inputs', 'precondition'];
const INPUTS = ['runCommand', 'timeoutSeconds'];

/** What a Command document holds that this stand-in for the agent does not know, or that is unsafe. */
export function commandProblems(document: CommandDocument): string[] {
  const problems = parameterProblems(document.parameters ?? {});
  const known = ['schemaVersion', 'description', 'parameters', 'mainSteps'];
  for (const key of Object.keys(document)) if (!known.includes(key)) problems.push(`property ${key} is not known`);
  const [step, ...others] = document.mainSteps;
  if (!step || others.length > 0) return [...problems, 'one step is expected'];
  for (const key of Object.keys(step))
    if (!STEP_KEYS.includes(key)) problems.push(`step ${step.name}: ${key} is not known`);
  if (step.action !== 'aws:runShellScript') problems.push(`step ${step.name}: action ${step.action} is not known`);
  const inputs = step.inputs ?? {};
  for (const key of Object.keys(inputs)) {
    if (!INPUTS.includes(key)) problems.push(`step ${step.name}: input ${key} is not known`);
  }
  const lines = inputs['runCommand'];
  if (!Array.isArray(lines) || lines.some((line) => typeof line !== 'string')) {
    problems.push(`step ${step.name}: runCommand must be a list of strings`);
  }
  if (referencesIn(lines).length > 0) {
    problems.push(
      `step ${step.name}: {{ ${referencesIn(lines).join(' }}, {{ ')} }} would put text into the script; use interpolationType ENV_VAR`,
    );
  }
  for (const name of referencesIn(inputs['timeoutSeconds'])) {
    if (!isMap(document.parameters) || !Object.hasOwn(document.parameters, name)) {
      problems.push(`step ${step.name}: {{ ${name} }} is no parameter`);
    }
  }
  return problems;
}

/** Binds the parameters of a command as SendCommand does. Throws ServiceException. */
export function bindCommand(document: CommandDocument, given: ParameterValues): Command {
  const problems = commandProblems(document);
  if (problems.length > 0) throw new ServiceException('InvalidDocumentContent', problems.join('; '));
  const definitions = document.parameters ?? {};
  const values = bindParameters(definitions, given, 'InvalidParameters');
  const inputs = document.mainSteps[0]?.inputs ?? {};
  const environment = Object.entries(values)
    .filter(([name]) => definitions[name]?.interpolationType === 'ENV_VAR')
    .map(([name, value]) => [`SSM_${name}`, String(value)]);
  return {
    script: (inputs['runCommand'] as string[]).join('\n'),
    environment: Object.fromEntries(environment) as Record<string, string>,
    executionSeconds: executionSeconds(interpolate(inputs['timeoutSeconds'], (reference) => values[reference.name])),
  };
}

/** The time-out that the agent really uses: any value outside its bounds silently becomes the default. */
function executionSeconds(value: unknown): number {
  const { least, most, default: standard } = LIMITS.executionSeconds;
  const seconds = Number(value);
  return Number.isInteger(seconds) && seconds >= least && seconds <= most ? seconds : standard;
}
