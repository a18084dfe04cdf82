/** Whether our server, and no other program, answers on the ports it is configured for. */
import { X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { readText } from '../../site/files.js';
import { at, type Check, type CheckContext, type Finding } from '../check.js';

/** How long a port may take to answer, milliseconds. */
const answerWithinMs = 1500;

/** What a port was found to be: ours, somebody else's (with what gives them away), or one of which that cannot be told. */
type Answer = 'nobody' | 'ours' | 'somebody' | { readonly other: string };

export const listening: Check = {
  id: 'listening',
  title: 'Ports',
  async run(context) {
    const { config } = context;
    const findings: Finding[] = [];
    for (const section of ['http', 'https', 'mqtt_plain', 'mqtts']) {
      const port = at(config, section, 'port');
      if (typeof port !== 'number' || port === 0) continue;
      const place = { host: reachable(at(config, section, 'host')), port };
      const answer = await (section === 'http'
        ? askHttp(place, serverId(config))
        : section === 'mqtt_plain'
          ? askPlain(place)
          : askTls(place, certificateOf(context, section)));
      findings.push(finding(section, port, answer));
    }
    return findings;
  },
};

function finding(section: string, port: number, answer: Answer): Finding {
  if (answer === 'nobody')
    return {
      state: 'warning',
      found: `${section}: nothing answers on port ${port}`,
      next: 'Start the server; see its log if it does not stay up.',
    };
  if (answer === 'ours') return { state: 'good', found: `${section}: this server answers on port ${port}` };
  if (answer === 'somebody') return { state: 'good', found: `${section}: port ${port} answers` };
  return {
    state: 'bad',
    found: `${section}: on port ${port} answers ${answer.other}`,
    next: `Stop that program or give ${section} another port; restart this server if its certificate is new.`,
  };
}

/** Where a listening address can be reached from this machine. */
const reachable = (host: unknown): string =>
  typeof host === 'string' && host !== '0.0.0.0' && host !== '::' ? host : '127.0.0.1';

/** What the server says it is: a gateway its id, a cloud its own. */
const serverId = (config: Readonly<Record<string, unknown>>): string =>
  String(at(config, 'site', 'gateway_id') ?? config.cloud_id ?? 'cloud');

function certificateOf({ config, path }: CheckContext, section: string): X509Certificate | undefined {
  const file = at(config, section, 'certificate_file');
  if (typeof file !== 'string' || !existsSync(path(file))) return undefined;
  try {
    return new X509Certificate(readText(path(file)));
  } catch {
    // The check of certificates says so.
    return undefined;
  }
}

interface Place {
  readonly host: string;
  readonly port: number;
}

function askHttp(place: Place, own: string): Promise<Answer> {
  return new Promise((resolve) => {
    const asked = request(
      { ...place, path: '/.well-known/villagrid', timeout: answerWithinMs, agent: false },
      (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
          // Ours is far shorter.
          if (text.length > 10_000) answer.destroy();
        });
        answer.on('error', () => undefined);
        answer.on('close', () => {
          const found = discovered(text);
          resolve(
            found === own
              ? 'ours'
              : { other: found === undefined ? 'another program' : `another Villagrid server, ${found}` },
          );
        });
      },
    );
    asked.on('timeout', () => asked.destroy(new Error('it says nothing')));
    asked.on('error', (error: NodeJS.ErrnoException) =>
      resolve(isRefusal(error) ? 'nobody' : { other: 'another program' }),
    );
    asked.end();
  });
}

function discovered(text: string): string | undefined {
  try {
    const id = (JSON.parse(text) as { server_id?: unknown } | null)?.server_id;
    return typeof id === 'string' ? id.slice(0, 80) : undefined;
  } catch {
    return undefined;
  }
}

/** TLS tells by its certificate; whether that is a good one, another check says. */
function askTls(place: Place, own: X509Certificate | undefined): Promise<Answer> {
  return new Promise((resolve) => {
    const socket = connectTls({ ...place, rejectUnauthorized: false, timeout: answerWithinMs });
    const end = (answer: Answer) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('secureConnect', () => {
      const { raw } = socket.getPeerCertificate();
      if (own === undefined) end('somebody');
      else end(raw?.equals(own.raw) ? 'ours' : { other: 'a server with another certificate' });
    });
    socket.on('error', (error: NodeJS.ErrnoException) =>
      end(isRefusal(error) ? 'nobody' : { other: 'a program without TLS' }),
    );
    socket.once('timeout', () => end({ other: 'a program that says nothing' }));
  });
}

/** Plain MQTT does not say whose it is. */
function askPlain(place: Place): Promise<Answer> {
  return new Promise((resolve) => {
    const socket = connect({ ...place, timeout: answerWithinMs });
    const end = (answer: Answer) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => end('somebody'));
    socket.on('error', () => end('nobody'));
    socket.once('timeout', () => end('nobody'));
  });
}

const isRefusal = ({ code }: NodeJS.ErrnoException): boolean =>
  code === 'ECONNREFUSED' || code === 'EHOSTUNREACH' || code === 'EADDRNOTAVAIL' || code === 'ENETUNREACH';
