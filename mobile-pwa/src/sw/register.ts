/** Installs the service worker and tells when a new version waits. */

let waiting: ServiceWorker | null = null;

/** Registers `/sw.js` in built pages; development pages and insecure origins go without. */
export function registerWorker(onReady: () => void): void {
  if (import.meta.env?.DEV === true || !('serviceWorker' in navigator)) return;
  const controlled = navigator.serviceWorker.controller !== null;
  navigator.serviceWorker
    .register('/sw.js')
    .then((registration) => {
      const found = (worker: ServiceWorker | null) => {
        if (worker === null) return;
        const check = () => {
          if (worker.state === 'installed' && navigator.serviceWorker.controller !== null) {
            waiting = worker;
            onReady();
          }
        };
        worker.addEventListener('statechange', check);
        check();
      };
      found(registration.waiting);
      registration.addEventListener('updatefound', () => found(registration.installing));
    })
    .catch(() => undefined);
  navigator.serviceWorker.addEventListener('controllerchange', () => {
    // The first worker takes over a page that is already right; only an update needs the new shell.
    if (controlled && waiting !== null) location.reload();
  });
}

/** Lets the waiting version take over; the page loads again by itself. */
export function useNewVersion(): void {
  waiting?.postMessage('use-new-version');
}
