import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';

/** Rounds and salt of PostgreSQL's own verifiers. */
const ITERATIONS = 4096;
const SALT_BYTES = 16;

/**
 * The SCRAM verifier that PostgreSQL would store for a password. It is sent in the password's place, so that a server
 * that logs DDL never sees the password.
 *
 * @param salt for tests only. @default random
 */
export function scramVerifier(password: string, salt: Buffer = randomBytes(SALT_BYTES)): string {
  const salted = pbkdf2Sync(password.normalize('NFKC'), salt, ITERATIONS, 32, 'sha256');
  const hmac = (text: string): Buffer => createHmac('sha256', salted).update(text).digest();
  const stored = createHash('sha256').update(hmac('Client Key')).digest('base64');
  const server = hmac('Server Key').toString('base64');
  return `SCRAM-SHA-256$${ITERATIONS}:${salt.toString('base64')}$${stored}:${server}`;
}
