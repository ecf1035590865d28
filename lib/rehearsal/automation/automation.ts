import type { Approver } from './actions/approve';
import type { AwsEndpoint } from './aws-api';
import { documentProblems, sizeProblems } from './check-document';
import { realSleep, type Sleep } from './clock';
import { commandProblems } from './command-document';
import type { CommandHost } from './command-host';
import { type AutomationDocument, isAutomation, isCommand, type SsmDocument, type Step } from './document';
import { ServiceException } from './errors';
import { Execution } from './execution';
import { stepsOfLoop } from './actions/loop';
import { LIMITS } from './limits';
import { bindParameters, type ParameterValues } from './parameters';
import type { AutomationEvent } from './result';
import type { Services } from './step-context';

/** What an account holds in the rehearsal. */
export interface AutomationOptions {
  /** Automation and Command documents by name. */
  readonly documents: ReadonlyMap<string, SsmDocument>;
  /** Where commands run. */
  readonly host: CommandHost;
  /** Answers the approvals. */
  readonly approve: Approver;
  /** Clock of time-outs and of aws:sleep. @default real time */
  readonly sleep?: Sleep;
  /** What `{{ global:REGION }}` stands for. @default 'eu-central-1' */
  readonly region?: string;
  /** Who answers the calls of runbooks that name a service. @default nobody: such a step fails */
  readonly aws?: AwsEndpoint;
  /** Told of every start and end, at once. @default nobody */
  readonly onEvent?: (event: AutomationEvent) => void;
}

/** Systems Manager Automation on this machine: runs runbooks of schema 0.3 as AWS does. */
export class Automation {
  private readonly services: Services;

  constructor(options: AutomationOptions) {
    this.services = {
      documents: options.documents,
      host: options.host,
      approve: options.approve,
      sleep: options.sleep ?? realSleep,
      aws: options.aws,
      region: options.region ?? 'eu-central-1',
      emit: options.onEvent ?? (() => undefined),
    };
  }

  /**
   * Starts a runbook. Throws ServiceException, before anything runs, when it or a runbook below it does not exist, uses
   * what is not known here, or when a parameter is missing, unknown or not allowed.
   */
  start(documentName: string, parameters: ParameterValues = {}): Execution {
    return this.startAt(documentName, parameters, []);
  }

  private startAt(documentName: string, given: ParameterValues, path: readonly string[]): Execution {
    if (path.length >= LIMITS.nesting) {
      throw new ServiceException(
        'AutomationDefinitionNestingLimit',
        `${documentName} would be automation ${path.length + 1} inside each other; ${LIMITS.nesting} are allowed`,
      );
    }
    const document = this.runbook(documentName);
    const values = bindParameters(document.parameters ?? {}, given);
    const tooLarge = sizeProblems(document, values);
    if (tooLarge.length > 0)
      throw new ServiceException('InvalidAutomationExecutionParametersException', tooLarge.join());
    this.checkBelow(document, values, [documentName]);
    return new Execution(documentName, document, values, this.services, path, (step, childName, childParameters) =>
      this.startAt(childName, childParameters, [...path, step]),
    );
  }

  private runbook(name: string): AutomationDocument {
    const document = this.services.documents.get(name);
    if (!document || !isAutomation(document)) {
      throw new ServiceException('AutomationDefinitionNotFoundException', `there is no runbook ${name}`);
    }
    const problems = documentProblems(document);
    if (problems.length > 0) throw new ServiceException('InvalidDocumentContent', `${name}: ${problems.join('; ')}`);
    return document;
  }

  /** Looks at the documents that the steps name, as far as their names are known before the steps run. */
  private checkBelow(document: AutomationDocument, values: ParameterValues, above: readonly string[]): void {
    for (const step of document.mainSteps.flatMap((step) => [step, ...stepsOfLoop(step)])) {
      const name = documentOf(step, values);
      if (name === undefined) continue;
      if (step.action === 'aws:executeAutomation') {
        const child = this.runbook(name);
        if (!above.includes(name)) this.checkBelow(child, defaultsOf(child), [...above, name]);
      } else {
        const command = this.services.documents.get(name);
        if (!command || !isCommand(command)) {
          throw new ServiceException('InvalidDocument', `step ${step.name}: there is no Command document ${name}`);
        }
        const problems = commandProblems(command);
        if (problems.length > 0)
          throw new ServiceException('InvalidDocumentContent', `${name}: ${problems.join('; ')}`);
      }
    }
  }
}

/** The document that a step names, literally or by a parameter; undefined where only the run will tell. */
function documentOf(step: Step, values: ParameterValues): string | undefined {
  const name = step.inputs?.['DocumentName'];
  if (typeof name !== 'string') return undefined;
  const parameter = /^\{\{\s*(\w+)\s*\}\}$/.exec(name)?.[1];
  const value = parameter === undefined ? name : values[parameter];
  return typeof value === 'string' && !value.includes('{{') ? value : undefined;
}

const defaultsOf = (document: AutomationDocument): ParameterValues =>
  Object.fromEntries(Object.entries(document.parameters ?? {}).map(([name, { default: value }]) => [name, value]));
