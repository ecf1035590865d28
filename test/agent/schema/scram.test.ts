import { Client } from 'pg';
import { scramVerifier } from '../../../assets/agent/schema/scram';
import { startPostgres } from '../../helpers/postgres';

it('makes a verifier with which the password, however odd, opens a server', async () => {
  const server = await startPostgres({ version: 15, password: 'admin' });
  try {
    const password = `it's "a" \\ @:/=%# ü`;
    const admin = await server.connect();
    await admin.query(`CREATE ROLE someone LOGIN PASSWORD '${scramVerifier(password)}'`);
    const open = async (text: string): Promise<void> => {
      const client = new Client({
        host: server.host,
        port: server.port,
        user: 'someone',
        password: text,
        database: 'postgres',
      });
      await client.connect();
      await client.end();
    };
    await expect(open(password)).resolves.toBeUndefined();
    await expect(open('wrong')).rejects.toThrow('password authentication failed');
  } finally {
    await server.stop();
  }
});
