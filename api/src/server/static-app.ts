/** The app's files: hashed assets for ever, the shell always asked again, index.html for navigations only. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance, FastifyRequest } from 'fastify';

/** File names that carry a hash of their content, e.g. `assets/index-B3x9_kQ1.js`. */
const hashedName = /[/\\]assets[/\\].*[-.][A-Za-z0-9_-]{8,}\.[a-z0-9]+(\.(br|gz))?$/;

/** Cache-Control of a file of the app. */
export function cacheControl(path: string): string {
  return hashedName.test(path) ? 'public, max-age=31536000, immutable' : 'no-cache';
}

/** Whether a request is a person opening a page of the app (then it gets index.html) and not a missing file. */
export function isNavigation(request: Pick<FastifyRequest, 'method' | 'url' | 'headers'>): boolean {
  if (request.method !== 'GET' && request.method !== 'HEAD') return false;
  const path = request.url.split('?')[0] ?? '';
  if (/^\/(api|assets|\.well-known)(\/|$)/.test(path)) return false;
  if ((path.split('/').pop() ?? '').includes('.')) return false;
  // Only navigations accept HTML by name; a script or picture that is missing must not get a page.
  return request.headers['sec-fetch-mode'] === 'navigate' || (request.headers.accept ?? '').includes('text/html');
}

/** Serves the folder at `/`; false when there is no index.html in it. */
export async function serveApp(app: FastifyInstance, directory: string): Promise<boolean> {
  if (!existsSync(join(directory, 'index.html'))) return false;
  await app.register(fastifyStatic, {
    root: directory,
    prefix: '/',
    wildcard: true,
    dotfiles: 'ignore',
    preCompressed: true,
    cacheControl: false,
    setHeaders: (reply, path) => reply.header('cache-control', cacheControl(path)),
  });
  return true;
}
