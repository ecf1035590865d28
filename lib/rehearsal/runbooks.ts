import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { synthesize } from '../app';
import { Automation, type AutomationOptions } from './automation/automation';
import { LocalCommandHost } from './automation/command-host';
import { isAutomation, type SsmDocument } from './automation/document';
import type { ExecutionResult } from './automation/result';
import { Template, type TemplateJson } from './template';

/** Who approves in a rehearsal; in an account it is a user or role of IAM. */
const APPROVER = 'rehearsal';

/** The runbooks of one migration, as they would be in the account, with this machine in the place of the host. */
export class Runbooks {
  private constructor(
    private readonly stackName: string,
    private readonly documents: ReadonlyMap<string, SsmDocument>,
  ) {}

  /** Synthesizes the migration and takes its documents out of the template. @param outdir gets the cloud assembly */
  static synthesize(migration: string, outdir: string): Runbooks {
    const stack = synthesize(migration, outdir).getStackByName(`${migration}-migration`);
    const json = JSON.parse(readFileSync(join(outdir, stack.templateFile), 'utf8')) as TemplateJson;
    const template = new Template(json, { stackName: stack.stackName });
    return new Runbooks(stack.stackName, withTarget(template.documents()));
  }

  /**
   * Starts a runbook and waits for its end.
   *
   * @param phase its short name, `migrate` or a phase
   * @param environment what commands on the host are given
   * @param directory where they run
   * @param parameters of the runbook, beside what every one is given. @default none
   */
  run(
    phase: string,
    environment: Readonly<Record<string, string>>,
    directory: string,
    options: Pick<AutomationOptions, 'approve' | 'onEvent' | 'aws'>,
    parameters: Readonly<Record<string, unknown>> = {},
  ): { readonly done: Promise<ExecutionResult>; cancel(): void } {
    const name = `${this.stackName}-${phase}`;
    const host = new LocalCommandHost({ instanceId: this.instanceId(name), environment, directory });
    const execution = new Automation({ documents: this.documents, host, ...options }).start(
      name,
      phase === 'migrate' ? { Approvers: [APPROVER], ...parameters } : parameters,
    );
    return { done: execution.done, cancel: () => execution.cancel() };
  }

  /** The host that the documents name by default, since that is the only one in the stack. */
  private instanceId(name: string): string {
    const document = this.documents.get(name);
    return document && isAutomation(document) ? String(document.parameters?.['InstanceId']?.default ?? '') : '';
  }
}

/** Gives the target an identifier of AWS's form, which comes from the other stack and only with a deployment. */
function withTarget(documents: ReadonlyMap<string, SsmDocument>): ReadonlyMap<string, SsmDocument> {
  return new Map(
    [...documents].map(([name, document]) => {
      const snapshotOf = isAutomation(document) ? document.parameters?.['SnapshotOf'] : undefined;
      if (!snapshotOf) return [name, document];
      const parameters = { ...document.parameters, SnapshotOf: { ...snapshotOf, default: 'rehearsal' } };
      return [name, { ...document, parameters } as SsmDocument];
    }),
  );
}
