/** What the service worker keeps, answers and installs. Pure; the worker itself only carries it out. */

/** What a build is made of. */
export interface Shell {
  /** Hash of the file names. */
  readonly build: string;
  /** Rises from build to build, seconds: the servers of a grid may carry builds that are a year apart. */
  readonly number: number;
  readonly files: readonly string[];
}

const prefix = 'villagrid-shell-';

/** Name of the cache of a build; it tells the number, also to workers of other builds. */
export const cacheNameOf = ({ build, number }: Pick<Shell, 'build' | 'number'>): string =>
  `${prefix}${number}-${build}`;

/** The number of a build by its cache's name: 0 for those of before numbers, undefined for what is not a shell. */
export function numberOf(cacheName: string): number | undefined {
  if (!cacheName.startsWith(prefix)) return undefined;
  const number = Number(/^(\d+)-/.exec(cacheName.slice(prefix.length))?.[1] ?? 0);
  return Number.isSafeInteger(number) ? number : 0;
}

/**
 * Whether a build may be installed beside the caches that are there. An older one may not: a phone that walks between two
 * servers would flip between their builds. Where no worker is active anything is better than nothing.
 */
export function mayInstall(shell: Shell, cacheNames: readonly string[], active: boolean): boolean {
  const own = cacheNameOf(shell);
  return !active || cacheNames.every((name) => name === own || (numberOf(name) ?? -1) < shell.number);
}

/** Caches to delete once a build is active: all shells but its own and the one before, of which a page may still be open. */
export function toDelete(shell: Shell, cacheNames: readonly string[]): string[] {
  const others = cacheNames.filter((name) => name !== cacheNameOf(shell) && numberOf(name) !== undefined);
  const before = others.filter((name) => (numberOf(name) ?? 0) < shell.number);
  const newest = before.sort((a, b) => (numberOf(a) ?? 0) - (numberOf(b) ?? 0)).at(-1);
  return others.filter((name) => name !== newest);
}

/** Never kept and never answered from here: what servers say, and how to reach them. */
const neverKept = ['/api', '/health', '/.well-known', '/metrics', '/openapi.json', '/docs', '/plain', '/sw.js'];

/** How a request is answered: with the app's page, with a file of the build, or by the network alone. */
export function wayOf(request: {
  readonly method: string;
  readonly mode: string;
  readonly url: URL;
  readonly origin: string;
}): 'page' | 'file' | 'network' {
  const { method, mode, url, origin } = request;
  if (method !== 'GET' || url.origin !== origin) return 'network';
  if (neverKept.some((path) => url.pathname === path || url.pathname.startsWith(`${path}/`))) return 'network';
  if (mode !== 'navigate') return 'file';
  return url.pathname === '/' || url.pathname === '/index.html' ? 'page' : 'network';
}

/** Whether what the network gave may stand for a file: the page of a Wi-Fi that wants a login may not. */
export const standsForFile = (path: string, contentType: string | null): boolean =>
  path.endsWith('.html') || contentType?.includes('text/html') !== true;
