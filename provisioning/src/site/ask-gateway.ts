/** Asks the gateway that runs on this box, through its own API: what is measured is known to it alone. */
import { VillagridError } from '@villagrid/contracts';
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
}

/** Logs in at the gateway of a folder and gets a path of its API. Throws E_GATEWAY_SILENT, or what the gateway refuses with. */
export async function askGateway(
  folder: string,
  credentials: Credentials,
  path: (gridId: string) => string,
): Promise<unknown> {
  const { http, site } = loadGatewayConfig({ path: gatewayFiles(folder).config });
  const host = http.host === '0.0.0.0' || http.host === '::' ? '127.0.0.1' : http.host;
  const base = `http://${host.includes(':') ? `[${host}]` : host}:${http.port}`;
  const ask = async (to: string, init: RequestInit): Promise<Answer> => {
    let answer: Response;
    try {
      answer = await fetch(`${base}${to}`, { ...init, signal: AbortSignal.timeout(answerWithinMs) });
    } catch {
      throw new VillagridError('E_GATEWAY_SILENT', `Nothing answers at ${base}.`);
    }
    const document = (await answer.json().catch(() => ({}))) as Answer;
    if (answer.ok) return document;
    if (answer.status === 401)
      throw new VillagridError('E_LOGIN_FAILED', 'The gateway does not know this name and password.');
    throw new VillagridError(
      'E_REQUEST_INVALID',
      String(document.detail ?? document.title ?? `Answer ${answer.status}.`),
      {
        next: answer.status === 403 ? 'Ask somebody who may read this grid.' : 'Look at `villagrid doctor`.',
      },
    );
  };
  const { token } = await ask('/api/auth/login', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(credentials),
  });
  return ask(path(site.grid_id), { headers: { authorization: `Bearer ${String(token)}` } });
}
