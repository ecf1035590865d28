import { InputError } from './errors';
import { interpolate, type Reference } from './references';
import type { AutomationDocument } from './document';
import type { ParameterValues } from './parameters';

/** What the references of one execution stand for, as it goes on. */
export class Scope {
  private readonly variables: Map<string, unknown>;
  private readonly outputs = new Map<string, Readonly<Record<string, unknown>>>();

  constructor(
    readonly documentName: string,
    readonly executionId: string,
    document: AutomationDocument,
    private readonly parameters: ParameterValues,
    private readonly environment: { readonly region: string; readonly startedAt: Date },
  ) {
    this.variables = new Map(
      Object.entries(document.variables ?? {}).map(([name, definition]) => [name, definition.default]),
    );
  }

  /** Replaces the references in a value. Throws InputError where one stands for nothing yet. */
  readonly resolve = (value: unknown): unknown => interpolate(value, (reference) => this.valueOf(reference));

  setVariable(name: string, value: unknown): void {
    this.variables.set(name, value);
  }

  /** Notes what a step gave, in the place of what it gave before. */
  setOutputs(step: string, outputs: Readonly<Record<string, unknown>> | undefined): void {
    if (outputs) this.outputs.set(step, outputs);
    else this.outputs.delete(step);
  }

  private valueOf(reference: Reference): unknown {
    const value = this.lookUp(reference);
    if (value !== undefined) return value;
    const name = reference.kind === 'output' ? `${reference.step}.${reference.name}` : reference.name;
    throw new InputError(`{{ ${name} }} stands for nothing: no step that succeeded has set it`);
  }

  private lookUp(reference: Reference): unknown {
    switch (reference.kind) {
      case 'parameter':
        return this.parameters[reference.name];
      case 'variable':
        return this.variables.get(reference.name);
      case 'output':
        return this.outputs.get(reference.step)?.[reference.name];
      case 'automation':
        return this.executionId;
      case 'global':
        return this.global(reference.name);
    }
  }

  private global(name: string): string {
    const [date = '', time = ''] = this.environment.startedAt.toISOString().split('T');
    if (name === 'REGION') return this.environment.region;
    return name === 'DATE' ? date : `${date}_${time.slice(0, 8).replaceAll(':', '.')}`;
  }
}
