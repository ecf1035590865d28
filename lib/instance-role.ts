import { Stack } from 'aws-cdk-lib';
import { PolicyStatement, type Role } from 'aws-cdk-lib/aws-iam';

/** Lets an instance read secrets, and use the keys of whoever made them, but only for these and through Secrets Manager. */
export function allowSecrets(role: Role, secretArns: readonly string[]): void {
  const stack = Stack.of(role);
  role.addToPolicy(
    new PolicyStatement({ sid: 'Secrets', actions: ['secretsmanager:GetSecretValue'], resources: [...secretArns] }),
  );
  role.addToPolicy(
    new PolicyStatement({
      sid: 'SecretKeys',
      actions: ['kms:Decrypt'],
      resources: [stack.formatArn({ service: 'kms', resource: 'key', resourceName: '*' })],
      conditions: {
        StringEquals: {
          'kms:ViaService': `secretsmanager.${stack.region}.${stack.urlSuffix}`,
          'kms:EncryptionContext:SecretARN': [...secretArns],
        },
      },
    }),
  );
}

/** Lets an instance publish metrics of one namespace; AWS knows no other resource for them. */
export function allowMetrics(role: Role, sid: string, namespace: string): void {
  role.addToPolicy(
    new PolicyStatement({
      sid,
      actions: ['cloudwatch:PutMetricData'],
      resources: ['*'],
      conditions: { StringEquals: { 'cloudwatch:namespace': namespace } },
    }),
  );
}
