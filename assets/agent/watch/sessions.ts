import type { Client } from 'pg';
import type { Context } from '../context';
import type { End } from '../endpoints';

/** One session on each end, opened when it is first wanted, and anew after one that broke: an end may be away for a while. */
export class Sessions {
  private readonly open = new Map<End, Client>();

  constructor(private readonly context: Context) {}

  /** Throws Failure that names the end when it cannot be reached. */
  async on(end: End): Promise<Client> {
    const known = this.open.get(end);
    if (known) return known;
    const client = await this.context.connect(end);
    this.open.set(end, client);
    client.once('error', () => this.forget(end, client));
    client.once('end', () => this.forget(end, client));
    return client;
  }

  /** Gives up what is open: an answer that came too late must not be taken for that of the next question. */
  renew(): void {
    for (const [end, client] of this.open) {
      this.forget(end, client);
      void client.end().catch(() => undefined);
    }
  }

  private forget(end: End, client: Client): void {
    if (this.open.get(end) === client) this.open.delete(end);
  }
}
