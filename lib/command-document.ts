import { CfnDocument } from 'aws-cdk-lib/aws-ssm';
import { Construct } from 'constructs';

/** One parameter of a Command document: handed over as an environment variable `SSM_<name>`, never pasted in. */
export interface CommandParameter {
  readonly description: string;
  readonly allowedPattern?: string;
  readonly allowedValues?: readonly string[];
  readonly default?: string;
}

export interface CommandDocumentProps {
  /** Name in the console; 3 to 128 letters, digits, dots, dashes and underscores. */
  readonly name: string;
  /** Markdown, shown in the console. */
  readonly description: string;
  readonly parameters: Readonly<Record<string, CommandParameter>>;
  /** Lines of the shell script. */
  readonly script: readonly string[];
  /** The agent kills the script after this; seconds, 5 to 172800 (anything else means 3600 to it). */
  readonly timeoutSeconds: number;
}

/**
 * A Command document of ours: what may run on the host through Systems Manager is what stands in it. A change makes a
 * new default version instead of a new document.
 */
export class CommandDocument extends Construct {
  readonly name: string;
  readonly document: CfnDocument;

  constructor(scope: Construct, id: string, props: CommandDocumentProps) {
    super(scope, id);
    this.name = props.name;
    const parameters = Object.entries(props.parameters).map(([name, parameter]) => [
      name,
      { type: 'String', interpolationType: 'ENV_VAR', ...parameter },
    ]);
    this.document = new CfnDocument(this, 'Document', {
      name: props.name,
      documentType: 'Command',
      documentFormat: 'YAML',
      updateMethod: 'NewVersion',
      targetType: '/AWS::EC2::Instance',
      content: {
        schemaVersion: '2.2',
        description: props.description,
        parameters: Object.fromEntries(parameters) as Record<string, unknown>,
        mainSteps: [
          {
            name: 'run',
            action: 'aws:runShellScript',
            inputs: { timeoutSeconds: String(props.timeoutSeconds), runCommand: [...props.script] },
          },
        ],
      },
    });
  }
}
