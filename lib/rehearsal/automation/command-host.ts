import { randomUUID } from 'node:crypto';
import { ServiceException } from './errors';
import { bindCommand } from './command-document';
import { commandOutput } from './output';
import { realSleep, type Sleep } from './clock';
import { runScript } from './script';
import type { CommandDocument } from './document';
import type { ParameterValues } from './parameters';

/** One command for one instance, as Run Command sends it. */
export interface CommandRequest {
  readonly instanceId: string;
  readonly documentName: string;
  readonly document: CommandDocument;
  readonly parameters: ParameterValues;
  /** Raised to cancel the command. */
  readonly signal: AbortSignal;
}

/** What a step learns of its command. */
export interface CommandResult {
  readonly commandId: string;
  readonly status: 'Success' | 'Failed' | 'TimedOut' | 'Cancelled';
  /** Exit status of the script; -1 when it was killed. */
  readonly responseCode: number;
  /** Both streams, cut to what Automation passes on. */
  readonly output: string;
}

/** Where aws:runCommand runs: Run Command and the agent of one instance. */
export interface CommandHost {
  /** Runs the command to its end. Throws ServiceException where SendCommand would refuse it. */
  run(request: CommandRequest): Promise<CommandResult>;
}

/** This machine in the place of an instance with its agent. */
export class LocalCommandHost implements CommandHost {
  /**
   * @param options.instanceId the one instance that exists
   * @param options.environment environment of every script; nothing else is handed down
   * @param options.directory working directory of every script
   * @param options.sleep clock of the execution time-out; default: real time
   */
  constructor(
    private readonly options: {
      readonly instanceId: string;
      readonly environment: Readonly<Record<string, string>>;
      readonly directory: string;
      readonly sleep?: Sleep;
    },
  ) {}

  async run(request: CommandRequest): Promise<CommandResult> {
    if (request.instanceId !== this.options.instanceId) {
      throw new ServiceException('InvalidInstanceId', `Instances [[${request.instanceId}]] not in a valid state`);
    }
    const command = bindCommand(request.document, request.parameters);
    const sleep = this.options.sleep ?? realSleep;
    const ended = new AbortController();
    const late = new AbortController();
    const timer = sleep(command.executionSeconds * 1000, ended.signal).then(() => {
      if (!ended.signal.aborted) late.abort();
    });
    const result = await runScript(
      command.script,
      { environment: { ...this.options.environment, ...command.environment }, directory: this.options.directory },
      AbortSignal.any([request.signal, late.signal]),
    ).finally(() => ended.abort());
    await timer;
    const status = statusOf(result.exitStatus, late.signal.aborted, request.signal.aborted);
    const stderr =
      status === 'Failed'
        ? append(result.stderr, `failed to run commands: exit status ${result.exitStatus}`)
        : result.stderr;
    return {
      commandId: randomUUID(),
      status,
      responseCode: result.exitStatus,
      output: commandOutput(result.stdout, stderr),
    };
  }
}

const statusOf = (exitStatus: number, late: boolean, cancelled: boolean): CommandResult['status'] => {
  if (exitStatus === 0) return 'Success';
  if (late) return 'TimedOut';
  return cancelled ? 'Cancelled' : 'Failed';
};

/** The agent notes the exit status of a failed script at the end of its standard error. */
const append = (text: string, line: string): string => (text.length > 0 ? `${text}\n${line}` : line);
