import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { literal } from '../../../assets/agent/sql';
import type { Lab, Server } from '../lab';
import { writeOwned } from '../lab/account';
import type { Authority } from './authority';

/** Gives a server of the lab TLS, under a host name. Sessions from now on may use it. */
export async function encrypt(lab: Lab, server: Server, authority: Authority, host: string): Promise<void> {
  const issued = await authority.issue(`${server.role}-database`, [host]);
  const file = (name: string): string => join(server.directory, name);
  writeOwned(file('server.key'), readFileSync(issued.key, 'utf8'), lab.account);
  writeOwned(file('server.pem'), readFileSync(issued.certificate, 'utf8'), lab.account);
  const admin = await server.admin();
  try {
    await admin.query(`ALTER SYSTEM SET ssl_key_file = ${literal(file('server.key'))}`);
    await admin.query(`ALTER SYSTEM SET ssl_cert_file = ${literal(file('server.pem'))}`);
    await admin.query(`ALTER SYSTEM SET ssl = 'on'`);
    await admin.query('SELECT pg_reload_conf()');
  } finally {
    await admin.end();
  }
}
