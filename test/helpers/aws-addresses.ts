import type { AwsAnswer, AwsCall } from './aws-calls';

const group = (name: string): string => `arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/${name}/1`;

/** A load balancer's listener that leads to the source. */
export const LISTENER = {
  kind: 'nlb',
  listenerArn: 'arn:aws:elasticloadbalancing:eu-west-1:1:listener/net/shop/1/2',
  sourceGroupArn: group('old'),
  targetGroupArn: group('new'),
  settleSeconds: 1,
} as const;

/** A record that names the source. */
export const RECORD = {
  kind: 'dns',
  hostedZoneId: 'Z0123456789',
  name: 'db.example.org',
  type: 'CNAME',
  source: 'old.example.org',
  target: 'new.example.org',
  ttlSeconds: 1,
} as const;

/** Operations on the record, as `AwsCall` names them. */
export const CHANGE_RECORD = 'POST /2013-04-01/hostedzone/Z0123456789/rrset';
const LIST_RECORDS = 'GET /2013-04-01/hostedzone/Z0123456789/rrset';

const xml = (operation: string, result: string): AwsAnswer => ({
  text: `<${operation}Response xmlns="http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/"><${operation}Result>${result}</${operation}Result></${operation}Response>`,
});

/** A network load balancer as AWS answers for it. */
export class AwsListener {
  /** Target groups to which it leads. */
  leads: string[] = [LISTENER.sourceGroupArn];
  readonly health: Record<string, string> = {
    [LISTENER.sourceGroupArn]: 'healthy',
    [LISTENER.targetGroupArn]: 'healthy',
  };

  answer({ operation, body }: AwsCall): AwsAnswer {
    const form = new URLSearchParams(body);
    if (operation === 'ModifyListener') this.leads = [form.get('DefaultActions.member.1.TargetGroupArn') ?? ''];
    if (operation !== 'DescribeTargetHealth') {
      const actions = this.leads.map(
        (each) => `<member><Type>forward</Type><TargetGroupArn>${each}</TargetGroupArn></member>`,
      );
      return xml(
        operation,
        `<Listeners><member><DefaultActions>${actions.join('')}</DefaultActions></member></Listeners>`,
      );
    }
    const state = this.health[form.get('TargetGroupArn') ?? ''];
    return xml(
      operation,
      `<TargetHealthDescriptions><member><Target><Id>10.0.0.1</Id></Target><TargetHealth><State>${state}</State></TargetHealth></member></TargetHealthDescriptions>`,
    );
  }
}

/** A record of Route 53 as AWS answers for it. */
export class AwsRecord {
  value: string = RECORD.source;
  ttl = 1;
  name = 'db.example.org.';
  /** How often a change is still pending when it is asked for. */
  pending = 1;

  answer({ operation, body }: AwsCall): AwsAnswer {
    if (operation === LIST_RECORDS) {
      return {
        text: `<ListResourceRecordSetsResponse><ResourceRecordSets><ResourceRecordSet><Name>${this.name}</Name><Type>CNAME</Type><TTL>${this.ttl}</TTL><ResourceRecords><ResourceRecord><Value>${this.value}</Value></ResourceRecord></ResourceRecords></ResourceRecordSet></ResourceRecordSets><IsTruncated>false</IsTruncated><MaxItems>1</MaxItems></ListResourceRecordSetsResponse>`,
      };
    }
    const changes = operation === CHANGE_RECORD;
    if (changes) this.value = /<Value>(.*?)<\/Value>/.exec(body)?.[1] ?? '';
    const root = changes ? 'ChangeResourceRecordSetsResponse' : 'GetChangeResponse';
    const status = !changes && this.pending-- <= 0 ? 'INSYNC' : 'PENDING';
    return {
      text: `<${root}><ChangeInfo><Id>/change/C1</Id><Status>${status}</Status><SubmittedAt>2026-01-01T00:00:00Z</SubmittedAt></ChangeInfo></${root}>`,
    };
  }
}
