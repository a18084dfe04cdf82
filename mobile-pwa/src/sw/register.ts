/** Installs the service worker and tells when a new version waits. */
import { clock } from '../platform/platform.js';

let waiting: ServiceWorker | null = null;
/** This page asked for the new version; another page of the app may have, and then this one is left as it is. */
let asked = false;

/** Shortest time between two looks for a new version, ms: a page that stays open would never look by itself. */
const lookEveryMs = 3_600_000;

/** Registers `/sw.js` in built pages; development pages and insecure origins go without. */
export function registerWorker(onReady: () => void): void {
  if (import.meta.env?.DEV === true || !('serviceWorker' in navigator)) return;
  const { serviceWorker } = navigator;
  const controlled = serviceWorker.controller !== null;
  serviceWorker
    .register('/sw.js')
    .then((registration) => {
      const found = (worker: ServiceWorker | null) => {
        if (worker === null) return;
        const check = () => {
          if (worker.state === 'installed' && serviceWorker.controller !== null) {
            waiting = worker;
            onReady();
          }
        };
        worker.addEventListener('statechange', check);
        check();
      };
      found(registration.waiting);
      registration.addEventListener('updatefound', () => found(registration.installing));
      let lookedMs = clock.monotonicMs();
      document.addEventListener('visibilitychange', () => {
        if (document.visibilityState !== 'visible' || clock.monotonicMs() - lookedMs < lookEveryMs) return;
        lookedMs = clock.monotonicMs();
        registration.update().catch(() => undefined);
      });
    })
    .catch(() => undefined);
  serviceWorker.addEventListener('controllerchange', () => {
    // The first worker takes over a page that is already right; only an update needs the new shell.
    if (!controlled) return;
    if (asked) location.reload();
    else onReady();
  });
}

/** Lets the waiting version take over; the page loads again by itself. */
export function useNewVersion(): void {
  asked = true;
  if (waiting?.state === 'installed') waiting.postMessage('use-new-version');
  else location.reload();
}
