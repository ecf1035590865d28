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

/** Whatever moves clients from one end to the other. */
export type SwitchConfig = CommandSwitch | PoolerSwitch;

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
