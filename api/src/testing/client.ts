/** A person's client for tests: HTTP with problem documents, and the live channel, over real sockets. */
import type { LiveFrame } from '@villagrid/contracts';
import { realClock } from '@villagrid/runtime';
import { WebSocket } from 'ws';

/** An answer as a test looks at it. */
export interface TestAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The document; undefined when it is not JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: tests reach into documents, whose form the suite checks by schema.
  readonly json: any;
}

/** What a request carries. */
export interface TestRequest {
  readonly method?: string;
  readonly token?: string | undefined;
  /** Sent as JSON; a text or bytes are sent as they are, with the content type of `headers` or JSON. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Sends one request. */
export async function ask(base: string, path: string, request: TestRequest = {}): Promise<TestAnswer> {
  const { method = 'GET', token, body, headers = {} } = request;
  const bare = typeof body === 'string' || body instanceof Uint8Array;
  const response = await fetch(base + path, {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: bare ? (body as string) : JSON.stringify(body) }),
  });
  const text = await response.text();
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  return { status: response.status, headers: response.headers, text, json };
}

/** Logs in and gives the token. */
export async function logIn(
  base: string,
  person: { readonly username: string; readonly password: string },
): Promise<string> {
  const { username, password } = person;
  const answer = await ask(base, '/api/auth/login', { method: 'POST', body: { username, password } });
  if (answer.status !== 200) throw new Error(`login of ${username} answered ${answer.status}: ${answer.text}`);
  return answer.json.token as string;
}

/** An open live channel; frames are kept until asked for. */
export interface LiveProbe {
  readonly socket: WebSocket;
  readonly frames: LiveFrame[];
  /** The next frame that fits, from those not yet given. Rejects after the deadline. */
  next<Type extends LiveFrame['type']>(
    type: Type,
    fits?: (frame: Extract<LiveFrame, { type: Type }>) => boolean,
    withinMs?: number,
  ): Promise<Extract<LiveFrame, { type: Type }>>;
  /** Resolves with the close code. */
  readonly closed: Promise<number>;
  send(message: unknown): void;
  close(): void;
}

/** Opens a live channel; the token goes into the first message, or into the header. Rejects with the status when refused. */
export async function openLive(
  base: string,
  gridId: string,
  options: {
    readonly token?: string | undefined;
    readonly tokenIn?: 'message' | 'header';
    readonly origin?: string;
    readonly ca?: string;
  } = {},
): Promise<LiveProbe> {
  const { token, tokenIn = 'message', origin, ca } = options;
  const clock = realClock();
  const socket = new WebSocket(`${base.replace(/^http/, 'ws')}/api/live/${gridId}`, {
    headers: tokenIn === 'header' && token !== undefined ? { authorization: `Bearer ${token}` } : {},
    ...(origin === undefined ? {} : { origin }),
    ...(ca === undefined ? {} : { ca }),
  });
  const frames: LiveFrame[] = [];
  const given = new Set<LiveFrame>();
  let wake: (() => void)[] = [];
  const rouse = () => {
    const all = wake;
    wake = [];
    for (const one of all) one();
  };
  socket.on('message', (data) => {
    frames.push(JSON.parse(String(data)) as LiveFrame);
    rouse();
  });
  const closed = new Promise<number>((resolve) => socket.on('close', (code) => resolve(code)));
  void closed.then(rouse);
  await new Promise<void>((resolve, reject) => {
    socket.once('open', () => resolve());
    socket.once('error', reject);
    socket.once('unexpected-response', (_request, response) => {
      response.resume();
      reject(new Error(`refused with ${response.statusCode}`));
    });
  });
  socket.on('error', () => {});
  const send = (message: unknown) => socket.send(JSON.stringify(message));
  if (tokenIn === 'message' && token !== undefined) send({ type: 'authenticate', token });
  return {
    socket,
    frames,
    closed,
    send,
    close: () => socket.close(),
    async next(type, fits = () => true, withinMs = 10_000) {
      const untilMs = clock.monotonicMs() + withinMs;
      for (;;) {
        const found = frames.find(
          (frame): frame is Extract<LiveFrame, { type: typeof type }> =>
            !given.has(frame) && frame.type === type && fits(frame as Extract<LiveFrame, { type: typeof type }>),
        );
        if (found !== undefined) {
          given.add(found);
          return found;
        }
        const leftMs = untilMs - clock.monotonicMs();
        if (leftMs <= 0 || socket.readyState === socket.CLOSED)
          throw new Error(`no ${type} frame; there were ${frames.map((frame) => frame.type).join(', ') || 'none'}`);
        await new Promise<void>((resolve) => {
          const timer = clock.after(leftMs, resolve);
          wake.push(() => {
            timer.cancel();
            resolve();
          });
        });
      }
    },
  };
}
