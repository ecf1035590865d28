import { RemovalPolicy, Stack } from 'aws-cdk-lib';
import { Key } from 'aws-cdk-lib/aws-kms';
import type { Construct } from 'constructs';

/**
 * A key of the account that is rotated each year. Its policy leaves use to IAM of this account, so that a role of
 * another stack needs no change here; it stays when the stack goes, since snapshots that are left need it.
 */
export function customerKey(scope: Construct, id: string, description: string): Key {
  return new Key(scope, id, {
    description: `${description} (${Stack.of(scope).stackName})`,
    enableKeyRotation: true,
    removalPolicy: RemovalPolicy.RETAIN,
  });
}
