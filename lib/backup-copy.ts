import { Duration } from 'aws-cdk-lib';
import { BackupPlan, BackupPlanRule, BackupResource, BackupVault } from 'aws-cdk-lib/aws-backup';
import { Schedule } from 'aws-cdk-lib/aws-events';
import type { Construct } from 'constructs';
import { customerKey } from './customer-key';
import type { ResolvedTarget } from './settings';

export interface BackupCopyProps {
  /** The database. */
  readonly arn: string;
  readonly settings: NonNullable<ResolvedTarget['backupCopy']>;
}

/** Days that the snapshot stays in this Region: only as long as its copy may take. */
const LOCAL_DAYS = 3;

/**
 * A daily snapshot by AWS Backup with a copy in another Region. CloudFormation makes nothing in another Region, so the
 * vault there is made beforehand; and a copy is a day old at worst: to the minute only RDS's own backups in this Region
 * go back.
 */
export function backupCopy(scope: Construct, id: string, { arn, settings }: BackupCopyProps): void {
  const vault = new BackupVault(scope, `${id}Vault`, {
    encryptionKey: customerKey(scope, `${id}Key`, 'Ibex target: snapshots on their way to another Region'),
  });
  const plan = new BackupPlan(scope, id, {
    backupVault: vault,
    backupPlanRules: [
      new BackupPlanRule({
        ruleName: 'daily',
        // After the window in which RDS takes its own, which would make this one wait.
        scheduleExpression: Schedule.cron({ hour: '5', minute: '0' }),
        startWindow: Duration.hours(2),
        completionWindow: Duration.hours(12),
        deleteAfter: Duration.days(LOCAL_DAYS),
        copyActions: [
          {
            destinationBackupVault: BackupVault.fromBackupVaultArn(scope, `${id}Destination`, settings.vaultArn),
            deleteAfter: Duration.days(settings.days),
          },
        ],
      }),
    ],
  });
  plan.addSelection('Database', { resources: [BackupResource.fromArn(arn)] });
}
