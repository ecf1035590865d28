/**
 * When something is done for the clients: `beforeFreeze`, before writes are stopped; `switch`, with writes stopped, to
 * move them; `afterOpen`, once writes are open where they were moved.
 */
export type Moment = 'beforeFreeze' | 'switch' | 'afterOpen';

/** What every hook has in common: it is told the moment and the end, `source` or `target`, and may be run again. */
export interface HookMoments {
  /** @default ['switch'] */
  readonly at?: readonly Moment[];
  /** Longest time of one run; the budget of the pause may leave it less. Seconds. */
  readonly timeoutSeconds: number;
}

/**
 * A program of the host. The end is appended to its arguments, the moment is in IBEX_MOMENT; it must end with status 0.
 */
export interface CommandSwitch extends HookMoments {
  readonly kind: 'command';
  readonly command: readonly string[];
}

/** A document of Systems Manager Automation with the parameters `Moment` and `To`. */
export interface AutomationSwitch extends HookMoments {
  readonly kind: 'automation';
  /** Name of the document, in this account and Region. */
  readonly document: string;
  /** Role under which it acts; the document then has the parameter `AutomationAssumeRole`. @default the host's */
  readonly roleArn?: string;
}

/** A Lambda function, whose own time-out is at most `timeoutSeconds`; it is given `{migration, moment, to}`. */
export interface LambdaSwitch extends HookMoments {
  readonly kind: 'lambda';
  /** Name of the function, in this account and Region. */
  readonly function: string;
}

/** Of a switch that may have time of its own beside the budget of the pause. */
export interface OwnBudget {
  /**
   * Time of its own for the call that moves the clients: the pause may last that much longer, and the other steps keep all
   * of `cutover.budgetSeconds`; seconds. @default none: 10 seconds at the most, of what the budget leaves
   */
  readonly budgetSeconds?: number;
}

/** A listener of a network load balancer before both databases; a source must have a private address for it. */
export interface LoadBalancerSwitch extends OwnBudget {
  readonly kind: 'nlb';
  readonly listenerArn: string;
  /** Target group of the source; in use, and so checked, before the cutover. */
  readonly sourceGroupArn: string;
  /** Target group of the target; in use, and so checked, before the cutover: behind a second listener. */
  readonly targetGroupArn: string;
  /** How long sessions on the end that was left are ended, once writes are open; seconds. @default 60 */
  readonly settleSeconds: number;
}

/** A record of Route 53 with one value. */
export interface RecordSetSwitch extends OwnBudget {
  readonly kind: 'dns';
  readonly hostedZoneId: string;
  /** The whole name that applications use. */
  readonly name: string;
  readonly type: 'CNAME' | 'A';
  /** Its value before the cutover, a name or an address, and after it. */
  readonly source: string;
  readonly target: string;
  /** Its time to live, which it must have beforehand; seconds. @default 5 */
  readonly ttlSeconds: number;
}

/** Whatever moves clients from one end to the other. */
export type SwitchConfig =
  CommandSwitch | AutomationSwitch | LambdaSwitch | PoolerSwitch | LoadBalancerSwitch | RecordSetSwitch;

/** How much longer than its own budget a pause may last, for what switches have of their own; seconds. */
export const ownSeconds = (switches: readonly SwitchConfig[]): number =>
  switches.reduce((sum, each) => sum + ('budgetSeconds' in each ? (each.budgetSeconds ?? 0) : 0), 0);

/** The poolers of the setting `endpoint.pooler`: their clients wait, and see no error. */
export interface PoolerSwitch {
  readonly kind: 'pooler';
}

/** Where the poolers are, and how they are commanded. */
export interface PoolerConfig {
  /** Console of every pooler there is: one that were left out would go on to lead to the other side. */
  readonly consoles: readonly { readonly host: string; readonly port: number }[];
  /** Secret with user and password of the consoles, as `secret` of an end is written. */
  readonly secret: string;
  /** Name of the clients' database. */
  readonly database: string;
  /** Where a pooler that starts reads its side: an SSM parameter, or a file. */
  readonly side: { readonly parameter: string } | { readonly file: string };
}
