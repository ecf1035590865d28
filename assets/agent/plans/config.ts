/** How the plans of costly statements are compared before the cutover, and how the target is warmed. */
export interface PlansConfig {
  /** How many of the source's most costly statements, as pg_stat_statements knows them, are compared; 0 for none. */
  readonly statements: number;
  /**
   * Absolute path on the host of a JSON file with statements that are compared beside those, with or without
   * pg_stat_statements: a list of `{"name", "text", "values", "role", "searchPath"}`, of which name and text must be there.
   * @default none
   */
  readonly file?: string;
  /**
   * Where statements that are proven to only read are run and measured: on both ends, on the target alone, nowhere. All
   * others are only planned.
   */
  readonly timing: 'both' | 'target' | 'off';
  /** Longest time of one statement on either end; milliseconds. */
  readonly timeoutMs: number;
  /** Longest time of all measured statements together on the source; seconds. */
  readonly sourceSeconds: number;
  /** From how many times the source's time or blocks on a statement counts as worse. */
  readonly worseFactor: number;
  /** What `ready` says of a statement that became worse. */
  readonly onWorse: 'warn' | 'block';
  /** What `ready` says of a statement that works on the source and cannot be planned on the target. */
  readonly onFailure: 'warn' | 'block';
  /**
   * What is read into the target's memory first: nothing; tables and indexes, the smallest first, so that most of them fit;
   * or those that the source reads most.
   */
  readonly warm: 'off' | 'size' | 'heat';
  /** How much is read at the most; 1,000,000 bytes, 0 for what the target's shared_buffers hold. */
  readonly warmMegabytes: number;
}
