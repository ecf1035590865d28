import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { system } from './programs';

/** A key and its certificate, as files. */
export interface Certificate {
  readonly key: string;
  readonly certificate: string;
}

/** A certificate authority of one run, in whose name the stand-ins of AWS and of the databases show themselves. */
export class Authority {
  private constructor(
    private readonly directory: string,
    /** Its certificate, in PEM. */
    readonly pem: string,
  ) {}

  /** @param directory gets keys and certificates */
  static async create(directory: string): Promise<Authority> {
    const request = 'req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ibex-test-authority';
    await openssl(directory, `${request} -keyout authority.key -out authority.pem`);
    return new Authority(directory, readFileSync(join(directory, 'authority.pem'), 'utf8'));
  }

  /** A certificate for these host names. @param name of its files */
  async issue(name: string, hosts: readonly string[]): Promise<Certificate> {
    const names = hosts.map((host) => `DNS:${host}`).join(',');
    writeFileSync(join(this.directory, `${name}.ext`), `subjectAltName=${names}\nextendedKeyUsage=serverAuth\n`);
    const request = `req -new -newkey rsa:2048 -nodes -subj /CN=${name} -keyout ${name}.key -out ${name}.csr`;
    await openssl(this.directory, request);
    const signing = `x509 -req -in ${name}.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 2`;
    await openssl(this.directory, `${signing} -extfile ${name}.ext -out ${name}.pem`);
    return { key: join(this.directory, `${name}.key`), certificate: join(this.directory, `${name}.pem`) };
  }
}

const openssl = (directory: string, words: string): Promise<string> =>
  system('openssl', words.split(' '), { cwd: directory });
