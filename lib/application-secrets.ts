import { RemovalPolicy, SecretValue } from 'aws-cdk-lib';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import type { Database } from './database';

export interface ApplicationSecretsProps {
  /** Name of the migration; begins the secrets' names. */
  readonly migration: string;
  /** ARN of the secret with the password, by the name of the login. */
  readonly logins: Readonly<Record<string, string>>;
  readonly database: Database;
  /** Where applications connect: the pooler's listener where there is one, else the load balancer's to the writer. */
  readonly at: ApplicationAddress;
}

/** An address with what a client has to know of it. */
export interface ApplicationAddress {
  readonly address: string;
  /** TCP port. */
  readonly port: number;
  /** How far a client can check the certificate, as libpq means it. */
  readonly sslmode: 'require' | 'verify-ca' | 'verify-full';
}

/**
 * For each login of an application a secret with the new address, `ibex/<migration>/<login>`, so that an application
 * moves by reading another secret. CloudFormation takes the password out of the old secret itself when it makes the new
 * one: the template holds a reference, nobody sees a value. The password must not hold `"` or `\`, which would have to
 * be escaped in JSON; a later change of the old secret is not followed.
 */
export class ApplicationSecrets extends Construct {
  constructor(scope: Construct, id: string, { migration, logins, database, at }: ApplicationSecretsProps) {
    super(scope, id);
    for (const [login, arn] of Object.entries(logins)) {
      new Secret(this, login, {
        secretName: `ibex/${migration}/${login.replace(/[^A-Za-z0-9/_+=.@-]/g, '_')}`,
        description: `New address of ${login}, for its application after the cutover of ${migration}`,
        encryptionKey: database.key,
        secretObjectValue: {
          engine: SecretValue.unsafePlainText('postgres'),
          host: SecretValue.unsafePlainText(at.address),
          port: SecretValue.unsafePlainText(String(at.port)),
          dbname: SecretValue.unsafePlainText(database.databaseName),
          username: SecretValue.unsafePlainText(login),
          password: SecretValue.secretsManager(arn, { jsonField: 'password' }),
          sslmode: SecretValue.unsafePlainText(at.sslmode),
        },
        removalPolicy: RemovalPolicy.RETAIN,
      });
    }
  }
}
