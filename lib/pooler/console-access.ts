import { CfnSecurityGroupEgress, CfnSecurityGroupIngress, type ISecurityGroup } from 'aws-cdk-lib/aws-ec2';
import { PolicyStatement, type Role } from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import type { Pooler } from '../pooler';
import { CONSOLE_PORT } from './openings';

export interface ConsoleAccessProps {
  readonly pooler: Pooler;
  /** Security group of the Bucardo host. */
  readonly securityGroup: ISecurityGroup;
  /** Role of the Bucardo host; that it may read the console's secret is up to whoever lists its secrets. */
  readonly role: Role;
}

/**
 * Lets the Bucardo host, and nobody else, command the poolers and record their side. Part of the migration stack, so
 * that it goes with the host.
 */
export class ConsoleAccess extends Construct {
  constructor(scope: Construct, id: string, { pooler, securityGroup, role }: ConsoleAccessProps) {
    super(scope, id);
    const port = { ipProtocol: 'tcp', fromPort: CONSOLE_PORT, toPort: CONSOLE_PORT };
    new CfnSecurityGroupIngress(this, 'In', {
      groupId: pooler.securityGroup.securityGroupId,
      sourceSecurityGroupId: securityGroup.securityGroupId,
      description: 'Bucardo host, to the console',
      ...port,
    });
    new CfnSecurityGroupEgress(this, 'Out', {
      groupId: securityGroup.securityGroupId,
      destinationSecurityGroupId: pooler.securityGroup.securityGroupId,
      description: 'Console of the poolers',
      ...port,
    });
    role.addToPolicy(
      new PolicyStatement({
        sid: 'PoolerSide',
        actions: ['ssm:GetParameter', 'ssm:PutParameter'],
        resources: [pooler.side.parameterArn],
      }),
    );
  }
}
