/** Asks the gateway that runs on this box, through its own API: what is measured is known to it alone. */
import { VillagridError, type ErrorCode } from '@villagrid/contracts';
import { loadGatewayConfig } from '@villagrid/gateway';
import { gatewayFiles } from './gateway-site.js';

/** How long an answer may take, milliseconds: on a small box a day of many meters takes seconds. */
const answerWithinMs = 30_000;

/** A person's name and password. */
export interface Credentials {
  readonly username: string;
  readonly password: string;
}

interface Answer {
  readonly code?: unknown;
  readonly detail?: unknown;
  readonly title?: unknown;
  readonly token?: unknown;
  readonly next?: unknown;
}

/** A server at whose API a person is logged in. */
export interface ServerSession {
  readonly gridId: string;
  /** Asks a path of the API. Throws E_GATEWAY_SILENT, or what the gateway refuses with. */
  ask(method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown): Promise<unknown>;
}

/** A gateway of this box at whose API a person is logged in. */
export interface GatewaySession extends ServerSession {
  /** IANA zone of the village. */
  readonly zone: string;
}

/** How a gateway is asked. */
export interface AskOptions {
  /** How long an answer may take, milliseconds. */
  readonly withinMs?: number | undefined;
  /** Code of the error for what the gateway could not do; E_REQUEST_INVALID when left out. */
  readonly refused?: ErrorCode | undefined;
}

/** Whether a gateway answers at the address that the settings of a folder name. */
export async function gatewayRuns(folder: string): Promise<boolean> {
  try {
    await fetch(`${addressOf(folder).base}/.well-known/villagrid`, { signal: AbortSignal.timeout(5000) });
    return true;
  } catch {
    return false;
  }
}

function addressOf(folder: string): { readonly base: string; readonly gridId: string; readonly zone: string } {
  const { http, site } = loadGatewayConfig({ path: gatewayFiles(folder).config });
  const host = http.host === '0.0.0.0' || http.host === '::' ? '127.0.0.1' : http.host;
  return {
    base: `http://${host.includes(':') ? `[${host}]` : host}:${http.port}`,
    gridId: site.grid_id,
    zone: site.zone,
  };
}

/** Logs in at the gateway of a folder. Throws E_GATEWAY_SILENT and E_LOGIN_FAILED. */
export async function openGateway(
  folder: string,
  credentials: Credentials,
  options: AskOptions = {},
): Promise<GatewaySession> {
  const { base, gridId, zone } = addressOf(folder);
  return { ...(await openServer(base, gridId, credentials, options)), zone };
}

/** Logs in at a server, gateway or cloud, by its address (https://name:port). Throws E_GATEWAY_SILENT and E_LOGIN_FAILED. */
export async function openServer(
  base: string,
  gridId: string,
  credentials: Credentials,
  { withinMs = answerWithinMs, refused }: AskOptions = {},
): Promise<ServerSession> {
  const send = async (to: string, init: RequestInit): Promise<Answer> => {
    let answer: Response;
    try {
      answer = await fetch(`${base}${to}`, { ...init, signal: AbortSignal.timeout(withinMs) });
    } catch (error) {
      // The certificate's trouble lies under the one of the request.
      const code = String((error as { cause?: { code?: unknown } }).cause?.code ?? '');
      if (/CERT|SELF_SIGNED|UNABLE_TO_VERIFY|ALTNAME/.test(code))
        throw new VillagridError('E_GATEWAY_SILENT', `${base} answers, but its certificate is not trusted (${code}).`, {
          next: 'Name the authority that signed it: NODE_EXTRA_CA_CERTS=<authority.crt> villagrid …, and use the name it is for.',
        });
      throw new VillagridError('E_GATEWAY_SILENT', `Nothing answers at ${base}.`);
    }
    const document = (await answer.json().catch(() => ({}))) as Answer;
    if (answer.ok) return document;
    if (answer.status === 401)
      throw new VillagridError('E_LOGIN_FAILED', 'The gateway does not know this name and password.');
    throw new VillagridError(
      answer.status >= 500 && refused !== undefined ? refused : 'E_REQUEST_INVALID',
      String(document.detail ?? document.title ?? `Answer ${answer.status}.`),
      {
        next:
          answer.status === 403
            ? 'Ask somebody who may do this on this grid.'
            : String(document.next ?? 'Look at `villagrid doctor`.'),
      },
    );
  };
  const json = { 'content-type': 'application/json' };
  const { token } = await send('/api/auth/login', { method: 'POST', headers: json, body: JSON.stringify(credentials) });
  const authorization = `Bearer ${String(token)}`;
  return {
    gridId,
    ask: (method, path, body) =>
      send(path, {
        method,
        headers: body === undefined ? { authorization } : { authorization, ...json },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }),
  };
}

/**
 * Logs in at the gateway of a folder and gets a path of its API, or posts a document to it. Throws E_GATEWAY_SILENT, or
 * what the gateway refuses with.
 */
export async function askGateway(
  folder: string,
  credentials: Credentials,
  path: (gridId: string) => string,
  { body, ...options }: AskOptions & { readonly body?: unknown } = {},
): Promise<unknown> {
  const session = await openGateway(folder, credentials, options);
  return session.ask(body === undefined ? 'GET' : 'POST', path(session.gridId), body);
}
