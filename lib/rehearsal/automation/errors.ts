import { Failure } from '../../../assets/agent/errors';

/** A request that Systems Manager would refuse, under the name that it gives to the refusal. */
export class ServiceException extends Failure {
  /** @param code name of the exception, such as `InvalidAutomationExecutionParametersException` */
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(`${code}: ${message}`);
  }
}

/** Inputs of a step that cannot be worked out while the automation runs: the step fails with this message. */
export class InputError extends Failure {}
