import { Stack } from 'aws-cdk-lib';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import { Construct } from 'constructs';

export interface NoticesProps {
  /** Ends the topic's name; it begins with `Automation`, as aws:approve demands. */
  readonly name: string;
  readonly emails: readonly string[];
}

/** One topic for whatever people are to hear: approvals that are asked for, alarms, runbooks that failed. */
export class Notices extends Construct {
  readonly topic: Topic;

  constructor(scope: Construct, id: string, { name, emails }: NoticesProps) {
    super(scope, id);
    this.topic = new Topic(this, 'Topic', { topicName: `Automation-${name}`, enforceSSL: true });
    for (const email of emails) this.topic.addSubscription(new EmailSubscription(email));
    // A topic with a policy of its own has lost the default one, by which alarms of the account could publish.
    this.topic.addToResourcePolicy(
      new PolicyStatement({
        sid: 'Alarms',
        principals: [new ServicePrincipal('cloudwatch.amazonaws.com')],
        actions: ['sns:Publish'],
        resources: [this.topic.topicArn],
        conditions: { StringEquals: { 'aws:SourceAccount': Stack.of(this).account } },
      }),
    );
  }
}
