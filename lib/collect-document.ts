import type { Bucket } from 'aws-cdk-lib/aws-s3';
import type { Construct } from 'constructs';
import { CommandDocument } from './command-document';

/** The command that puts the evidence report and the logs into the bucket, each time under the moment's name. */
export function collectDocument(scope: Construct, id: string, name: string, bucket: Bucket): CommandDocument {
  return new CommandDocument(scope, id, {
    name,
    description:
      'Ibex: copies the evidence report and the logs of the host into the bucket of the migration. Changes nothing; may be run at any time, and last before the migration stack is destroyed.',
    parameters: {
      Bucket: {
        description: 'Where to.',
        allowedPattern: '^[a-z0-9][a-z0-9.-]{2,62}$',
        default: bucket.bucketName,
      },
    },
    script: [
      'set -eu',
      'work=$(mktemp -d)',
      `trap 'rm -rf "$work"' EXIT`,
      'stamp=$(date -u +%Y%m%dT%H%M%SZ)',
      '"${IBEX_HOME:-/opt/ibex}/bin/ibex" report >"$work/report.json"',
      'aws s3 cp --only-show-errors "$work/report.json" "s3://$SSM_Bucket/reports/$stamp.json"',
      'aws s3 cp --only-show-errors --recursive "${IBEX_STATE:-/database/ibex}/log" "s3://$SSM_Bucket/logs/$stamp/"',
      'echo "collected s3://$SSM_Bucket/reports/$stamp.json"',
    ],
    timeoutSeconds: 1_800,
  });
}
