import { join } from 'node:path';
import { CfnOutput, Duration, RemovalPolicy, Stack } from 'aws-cdk-lib';
import type { Instance, SecurityGroup } from 'aws-cdk-lib/aws-ec2';
import { NetworkTargetGroup, Protocol } from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { InstanceTarget } from 'aws-cdk-lib/aws-elasticloadbalancingv2-targets';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Asset } from 'aws-cdk-lib/aws-s3-assets';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { ParameterTier, StringParameter } from 'aws-cdk-lib/aws-ssm';
import { Construct } from 'constructs';
import { ROOT } from './bundle';
import type { Database } from './database';
import type { Endpoint } from './endpoint';
import type { Network } from './network';
import { poolerConfiguration } from './pooler/configuration';
import { PoolerInstallation } from './pooler/installation';
import { PoolerInstances } from './pooler/instances';
import { POOLER_PORT, poolerSecurityGroup } from './pooler/openings';
import { poolerRole } from './pooler/role';
import { SideParameter } from './pooler/side-parameter';
import type { ResolvedPooler, ResolvedSettings } from './settings';

export interface PoolerProps {
  readonly network: Network;
  readonly database: Database;
  readonly endpoint: Endpoint;
  readonly pooler: ResolvedPooler;
  readonly settings: ResolvedSettings;
}

/**
 * PgBouncer in two zones behind a listener of its own. It stays after the migration, so it belongs to the target; the
 * cutover moves its clients from the source to the target without an error. See docs/pooler.md.
 */
export class Pooler extends Construct {
  readonly securityGroup: SecurityGroup;
  readonly targetGroup: NetworkTargetGroup;
  /** User and password of the console. */
  readonly consoleSecret: Secret;
  readonly side: SideParameter;
  readonly instances: readonly Instance[];
  /** Whether it knows the source beside the target. */
  readonly leadsToBoth: boolean;
  /** Name by which applications connect. */
  readonly address: string;
  /** Port by which applications connect. */
  readonly port: number;
  /** How far an application can check the certificate that it is shown, as libpq means it. */
  readonly sslmode: 'require' | 'verify-full';
  /** Addresses of the instances: whoever switches has to reach each. */
  readonly addresses: readonly string[];
  readonly installation: PoolerInstallation;

  constructor(scope: Construct, id: string, props: PoolerProps) {
    super(scope, id);
    const { network, database, endpoint, pooler, settings } = props;
    const prefix = `${Stack.of(this).stackName}-pooler`;
    this.leadsToBoth = pooler.source !== undefined;
    this.address = endpoint.address;
    this.port = pooler.port;
    const { certificateSecretArn } = pooler;
    // The name of the load balancer itself is in no certificate of anybody.
    this.sslmode = certificateSecretArn && settings.endpoint.privateName ? 'verify-full' : 'require';
    this.securityGroup = poolerSecurityGroup(this, 'SecurityGroup', props);
    this.consoleSecret = new Secret(this, 'Console', {
      description: `Console of the pooler of ${settings.name}`,
      encryptionKey: database.key,
      generateSecretString: {
        secretStringTemplate: JSON.stringify({ username: 'ibex_admin' }),
        generateStringKey: 'password',
        excludePunctuation: true,
        passwordLength: 40,
      },
      removalPolicy: RemovalPolicy.DESTROY,
    });
    this.side = new SideParameter(
      this,
      'Side',
      `/ibex/${settings.name}/pooler/side`,
      pooler.source ? 'source' : 'target',
    );
    const text = Stack.of(this).toJsonString(
      poolerConfiguration({
        settings,
        pooler,
        database,
        sideParameter: this.side.parameterName,
        consoleSecretArn: this.consoleSecret.secretArn,
      }),
    );
    const configuration = new StringParameter(this, 'Configuration', {
      description: 'What the pooler is told; no secret, only the names of secrets',
      parameterName: `/ibex/${settings.name}/pooler/configuration`,
      stringValue: text,
      // Above 4 KiB only the advanced tier will do.
      tier: ParameterTier.INTELLIGENT_TIERING,
    });
    const program = new Asset(this, 'Program', {
      path: join(ROOT, 'assets', 'pooler'),
      exclude: ['bootstrap.sh'],
    });
    const logGroup = new LogGroup(this, 'CommandOutput', {
      logGroupName: `/aws/ssm/${prefix}`,
      retention: RetentionDays.THREE_MONTHS,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const role = poolerRole(this, 'Role', {
      secretArns: [
        this.consoleSecret.secretArn,
        ...Object.values(settings.agent.applicationLogins),
        ...(certificateSecretArn === undefined ? [] : [certificateSecretArn]),
      ],
      parameterArns: [configuration.parameterArn, this.side.parameterArn],
      packageArn: program.bucket.arnForObjects(program.s3ObjectKey),
      documentPrefix: prefix,
      logGroup,
    });
    const { instances, ready } = new PoolerInstances(this, 'Instances', {
      network,
      role,
      securityGroup: this.securityGroup,
      pooler,
      settings,
    });
    this.instances = instances;
    this.addresses = instances.map(({ instancePrivateIp }) => instancePrivateIp);
    this.installation = new PoolerInstallation(this, 'Installation', {
      prefix,
      instances,
      program,
      configuration,
      configurationText: text,
      after: [...ready, this.side, role, this.consoleSecret],
    });
    this.targetGroup = new NetworkTargetGroup(this, 'Targets', {
      vpc: network.vpc,
      protocol: Protocol.TCP,
      port: POOLER_PORT,
      targets: instances.map((instance) => new InstanceTarget(instance, POOLER_PORT)),
      // The instances then see the load balancer's addresses, which their security group names.
      preserveClientIp: false,
      deregistrationDelay: Duration.seconds(0),
      connectionTermination: true,
      healthCheck: {
        // A paused pooler accepts connections, so a pause never looks like a failure.
        protocol: Protocol.TCP,
        interval: Duration.seconds(10),
        healthyThresholdCount: 2,
        unhealthyThresholdCount: 2,
      },
    });
    // Who hangs on an instance that died is told so, instead of waiting for the keepalive.
    this.targetGroup.setAttribute('target_health_state.unhealthy.connection_termination.enabled', 'true');
    endpoint.loadBalancer.addListener('Pooler', {
      port: pooler.port,
      protocol: Protocol.TCP,
      tcpIdleTimeout: Duration.seconds(settings.endpoint.idleTimeoutSeconds),
      defaultTargetGroups: [this.targetGroup],
    });
    new CfnOutput(this, 'Address', {
      description: 'Address of the pooler for applications, before and after the cutover',
      value: `${this.address}:${this.port}`,
    });
  }
}
