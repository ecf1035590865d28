import type { Client } from 'pg';
import { BUCARDO_DATABASE } from '../bucardo/names';
import { connectToHost } from '../connect';
import type { AgentConfig } from '../config';

/** Channel on which Bucardo's controllers tell their kids to run. */
const CHANNEL = 'bucardo_kid';

/**
 * Tells the kids to run twice as often as Bucardo's own clock does, which knows whole seconds only. It costs the source
 * no NOTIFY: the message goes over the host's database. It is the one that a controller sends, and a kid that is at work
 * reads all that have come as one, when it has ended.
 */
export class Kicks {
  private client: Client | undefined;
  private kick: Promise<void> | undefined;
  private readonly timer: NodeJS.Timeout;

  /** @param everyMs time between two kicks; milliseconds */
  constructor(
    private readonly config: Pick<AgentConfig, 'host' | 'sync'>,
    everyMs = (config.sync.checkSeconds * 1000) / 2,
  ) {
    this.timer = setInterval(() => (this.kick ??= this.send().finally(() => (this.kick = undefined))), everyMs);
  }

  async close(): Promise<void> {
    clearInterval(this.timer);
    await this.kick;
    await this.client?.end().catch(() => undefined);
  }

  private async send(): Promise<void> {
    try {
      this.client ??= await connectToHost(this.config.host, BUCARDO_DATABASE);
      await this.client.query(`SELECT pg_notify($1, 'run_' || name) FROM bucardo.sync WHERE status = 'active'`, [
        CHANNEL,
      ]);
    } catch {
      // Bucardo's own clock goes on; the next kick connects anew.
      await this.client?.end().catch(() => undefined);
      this.client = undefined;
    }
  }
}
