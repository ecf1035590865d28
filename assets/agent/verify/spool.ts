import type { Client } from 'pg';
import { readListing, type ListedRow } from './listing';

/** Rows that are written at once. */
const BATCH = 1_000;

/** Which side a listing is of. */
type Side = 'here' | 'there';

/**
 * Both sides' listings, in the order in which they come, in temporary tables of the host's own server, which sorts them:
 * neither the source's disk nor this program's memory grows with what is listed.
 */
export class Spool {
  private constructor(private readonly sessions: Readonly<Record<Side, Client>>) {}

  /** @param connect opens a session on the host's memory; both are closed with the spool */
  static async open(connect: () => Promise<Client>): Promise<Spool> {
    const open: Client[] = [];
    try {
      for (let side = 0; side < 2; side += 1) {
        const client = await connect();
        open.push(client);
        await client.query('CREATE TEMP TABLE ibex_listed (kh text COLLATE "C", key text[], hash text)');
      }
    } catch (error) {
      await Promise.allSettled(open.map((client) => client.end()));
      throw error;
    }
    const [here, there] = open as [Client, Client];
    return new Spool({ here, there });
  }

  async add(side: Side, rows: AsyncGenerator<ListedRow>): Promise<void> {
    let batch: ListedRow[] = [];
    for await (const row of rows) {
      batch.push(row);
      if (batch.length < BATCH) continue;
      await this.write(side, batch);
      batch = [];
    }
    await this.write(side, batch);
  }

  /** What was added of a side, sorted. */
  read(side: Side): AsyncGenerator<ListedRow> {
    return readListing(this.sessions[side], { text: 'SELECT * FROM pg_temp.ibex_listed ORDER BY kh', values: [] });
  }

  async close(): Promise<void> {
    await Promise.allSettled([this.sessions.here.end(), this.sessions.there.end()]);
  }

  private async write(side: Side, rows: readonly ListedRow[]): Promise<void> {
    if (rows.length === 0) return;
    await this.sessions[side].query(
      `INSERT INTO pg_temp.ibex_listed SELECT r.kh, ARRAY(SELECT json_array_elements_text(r.key)), r.hash
       FROM json_to_recordset($1) AS r (kh text, key json, hash text)`,
      [JSON.stringify(rows)],
    );
  }
}
