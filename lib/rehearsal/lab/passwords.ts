import { randomBytes } from 'node:crypto';

/**
 * A random password with every character that connection strings, password files, shells and SQL give a meaning to.
 * Real ones have them, and whatever forgets to quote one is to fail in the rehearsal instead of in production.
 */
export const awkwardPassword = (): string =>
  `${randomBytes(6).toString('hex')} '"@:/=%#\\ \`$&;?${randomBytes(6).toString('hex')}`;

/** One line of a libpq password file. */
export const passwordLine = (login: { user: string; password: string }): string =>
  `*:*:*:${login.user}:${login.password.replace(/[\\:]/g, '\\$&')}`;
