/**
 * The service worker: keeps the shell of the app, nothing else. Data never passes through it: `/api`, `/health`,
 * `/.well-known` and foreign origins go straight to the network, so a saved shell can never answer for a server.
 */

interface ExtendableEventLike extends Event {
  waitUntil(work: Promise<unknown>): void;
}
interface FetchEventLike extends ExtendableEventLike {
  readonly request: Request;
  respondWith(answer: Promise<Response>): void;
}
interface WorkerScope {
  readonly location: Location;
  readonly clients: { claim(): Promise<void> };
  skipWaiting(): Promise<void>;
  addEventListener(type: 'install' | 'activate', listener: (event: ExtendableEventLike) => void): void;
  addEventListener(type: 'fetch', listener: (event: FetchEventLike) => void): void;
  addEventListener(type: 'message', listener: (event: MessageEvent) => void): void;
}

const worker = self as unknown as WorkerScope;
// The build replaces this text by the list of files (build/service-worker-assets.ts); the quotes are part of it.
const shell = JSON.parse('__VILLAGRID_SHELL__') as { build: string; files: string[] };
const prefix = 'villagrid-shell-';
const cacheName = prefix + shell.build;
const neverKept = ['/api/', '/health', '/.well-known/', '/metrics', '/openapi.json', '/docs'];

worker.addEventListener('install', (event) => {
  event.waitUntil(
    caches
      .open(cacheName)
      .then((cache) => cache.addAll(shell.files.map((file) => new Request(file, { cache: 'reload' })))),
  );
});

worker.addEventListener('activate', (event) => {
  event.waitUntil(
    (async () => {
      // The build before this one stays for one version: a page that is still open may need one of its parts.
      const old = (await caches.keys()).filter((name) => name.startsWith(prefix) && name !== cacheName);
      await Promise.all(old.slice(0, -1).map((name) => caches.delete(name)));
      await worker.clients.claim();
    })(),
  );
});

worker.addEventListener('message', (event) => {
  if (event.data === 'use-new-version') void worker.skipWaiting();
});

worker.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== worker.location.origin) return;
  if (neverKept.some((path) => url.pathname.startsWith(path))) return;
  if (request.mode === 'navigate') {
    if (url.pathname === '/' || url.pathname === '/index.html') event.respondWith(fromShell('/', request));
    return;
  }
  event.respondWith(fromShell(url.pathname, request));
});

async function fromShell(path: string, request: Request): Promise<Response> {
  const current = await (await caches.open(cacheName)).match(path);
  return current ?? (await caches.match(path)) ?? fetch(request);
}
