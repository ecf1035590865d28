import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A call as it came: what names the operation differs from service to service. */
export interface AwsCall {
  /** `Service.Operation` of the JSON protocol, `Action` of the query protocol, else `METHOD /path`. */
  readonly operation: string;
  readonly body: string;
}

/** What is answered: a status and a text, or nothing at all, for ever. */
export type AwsAnswer = { readonly status?: number; readonly text: string } | 'hang';

/** A server that plays AWS for the clients of this process. */
export interface AwsServer {
  /** Every call so far. */
  readonly calls: AwsCall[];
  /** Operations so far. */
  operations(): string[];
  close(): Promise<void>;
}

/** Starts it, and leads every client of AWS that is made from now on to it. */
export async function startAws(answer: (call: AwsCall) => AwsAnswer): Promise<AwsServer> {
  const saved = { ...process.env };
  const calls: AwsCall[] = [];
  const server: Server = createServer((request, response) => {
    let body = '';
    request.on('data', (data: Buffer) => (body += String(data)));
    request.on('end', () => {
      const target = request.headers['x-amz-target'];
      const action = new URLSearchParams(body).get('Action');
      const path = `${request.method} ${request.url?.split('?')[0]}`;
      const call = { operation: typeof target === 'string' ? target : (action ?? path), body };
      calls.push(call);
      const given = answer(call);
      if (given === 'hang') return;
      response.writeHead(given.status ?? 200, {
        'content-type': given.text.startsWith('<') ? 'text/xml' : 'application/json',
      });
      response.end(given.text);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  Object.assign(process.env, {
    AWS_ENDPOINT_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    AWS_REGION: 'eu-west-1',
  });
  return {
    calls,
    operations: () => calls.map(({ operation }) => operation),
    close: async () => {
      process.env = saved;
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A refusal of the JSON protocol. */
export const refusal = (type: string, message = 'no', status = 400): AwsAnswer => ({
  status,
  text: JSON.stringify({ __type: type, message }),
});

/** An answer of the JSON protocol. */
export const json = (value: unknown): AwsAnswer => ({ text: JSON.stringify(value) });

/** A refusal of the XML protocols. */
export const xmlRefusal = (code: string, status = 400): AwsAnswer => ({
  status,
  text: `<ErrorResponse><Error><Type>Sender</Type><Code>${code}</Code><Message>no</Message></Error></ErrorResponse>`,
});
