/**
 * The service worker: keeps the shell of the app, nothing else. Data never passes through it: `/api`, `/health`,
 * `/.well-known` and foreign origins go straight to the network, so a saved shell can never answer for a server.
 */
import { cacheNameOf, mayInstall, standsForFile, toDelete, wayOf, type Shell } from './rules.js';

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
  readonly registration: { readonly active: object | null };
  skipWaiting(): Promise<void>;
  addEventListener(type: 'install' | 'activate', listener: (event: ExtendableEventLike) => void): void;
  addEventListener(type: 'fetch', listener: (event: FetchEventLike) => void): void;
  addEventListener(type: 'message', listener: (event: MessageEvent) => void): void;
}

const worker = self as unknown as WorkerScope;
// The build replaces this text by the list of files (build/service-worker-assets.ts); the quotes are part of it.
const shell = JSON.parse('__VILLAGRID_SHELL__') as Shell;
const cacheName = cacheNameOf(shell);

worker.addEventListener('install', (event) => {
  event.waitUntil(
    (async () => {
      if (!mayInstall(shell, await caches.keys(), worker.registration.active !== null))
        throw new Error(`build ${shell.number} is not newer than what this phone has`);
      try {
        const cache = await caches.open(cacheName);
        await cache.addAll(shell.files.map((file) => new Request(file, { cache: 'reload' })));
      } catch (error) {
        await caches.delete(cacheName);
        throw error;
      }
    })(),
  );
});

worker.addEventListener('activate', (event) => {
  event.waitUntil(
    (async () => {
      await Promise.all(toDelete(shell, await caches.keys()).map((name) => caches.delete(name)));
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
  const way = wayOf({ method: request.method, mode: request.mode, url, origin: worker.location.origin });
  if (way !== 'network') event.respondWith(fromShell(way === 'page' ? '/' : url.pathname, request));
});

async function fromShell(path: string, request: Request): Promise<Response> {
  const kept = (await (await caches.open(cacheName)).match(path)) ?? (await caches.match(path));
  if (kept !== undefined) return kept;
  const answer = await fetch(request);
  return path === '/' || standsForFile(path, answer.headers.get('content-type')) ? answer : Response.error();
}
