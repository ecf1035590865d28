import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CfnDocument } from 'aws-cdk-lib/aws-ssm';
import { Construct } from 'constructs';
import { parse } from 'yaml';
import { ROOT } from './bundle';

/** The parts of an Automation document that are touched here. */
interface Runbook {
  readonly parameters?: Record<string, { default?: unknown }>;
}

export interface RunbooksProps {
  /** Begins the name of each document: `<prefix>-<runbook>`. */
  readonly prefix: string;
  /** Defaults by parameter name, set in each runbook that has the parameter; tokens are allowed. */
  readonly defaults: Readonly<Record<string, unknown>>;
  /** Where the YAML files are. @default assets/runbooks */
  readonly directory?: string;
}

/** Largest Automation document, with the parameters of a run; bytes. */
const MAX_BYTES = 65_536;

const capitalized = (name: string): string => name.charAt(0).toUpperCase() + name.slice(1);

/**
 * Every runbook of a directory as an Automation document of the account. Parameters get their defaults here, so that an
 * operator starts one without filling in anything; `<Name>Runbook` stands for the document of that runbook.
 */
export class Runbooks extends Construct {
  /** Document names by runbook, such as `migrate`. */
  readonly names: Readonly<Record<string, string>>;

  constructor(scope: Construct, id: string, props: RunbooksProps) {
    super(scope, id);
    const directory = props.directory ?? join(ROOT, 'assets', 'runbooks');
    const files = readdirSync(directory)
      .filter((file) => file.endsWith('.yaml'))
      .sort();
    const runbooks = files.map((file) => file.replace(/\.yaml$/, ''));
    this.names = Object.fromEntries(runbooks.map((runbook) => [runbook, `${props.prefix}-${runbook}`]));
    const children = Object.entries(this.names).map(([runbook, name]) => [`${capitalized(runbook)}Runbook`, name]);
    const defaults = { ...props.defaults, ...(Object.fromEntries(children) as Record<string, string>) };

    let previous: CfnDocument | undefined;
    for (const runbook of runbooks) {
      const text = readFileSync(join(directory, `${runbook}.yaml`), 'utf8');
      const document = new CfnDocument(this, capitalized(runbook), {
        name: this.names[runbook],
        documentType: 'Automation',
        documentFormat: 'YAML',
        // A change makes a new default version; executions that run keep theirs.
        updateMethod: 'NewVersion',
        content: withDefaults(runbook, text, defaults),
      });
      // One after another: Systems Manager throttles the making of documents.
      if (previous) document.addResourceDependency(previous);
      previous = document;
    }
  }
}

function withDefaults(runbook: string, text: string, defaults: Readonly<Record<string, unknown>>): Runbook {
  if (Buffer.byteLength(text) > MAX_BYTES) {
    throw new Error(`runbook ${runbook} has ${Buffer.byteLength(text)} bytes; Systems Manager takes ${MAX_BYTES}`);
  }
  const document = parse(text) as Runbook;
  for (const [name, parameter] of Object.entries(document.parameters ?? {})) {
    if (defaults[name] !== undefined) parameter.default = defaults[name];
  }
  return document;
}
