/** Addresses inside the app: all behind the `#`, so that any static server serves them and a saved link always opens. */

/** A place in the app. */
export type Route =
  | { readonly name: 'home' }
  | { readonly name: 'all-alerts' }
  | {
      readonly name: 'grid' | 'alerts' | 'history' | 'reports' | 'devices' | 'rules' | 'duty' | 'more';
      readonly gridId: string;
      readonly query: URLSearchParams;
    }
  | { readonly name: 'alert'; readonly gridId: string; readonly alertId: string }
  | { readonly name: 'more'; readonly gridId: null; readonly query: URLSearchParams }
  /** Screens for few people, loaded when they are opened. */
  | {
      readonly name: 'further';
      readonly what: string;
      readonly gridId: string | null;
      readonly query: URLSearchParams;
    };

/** Reads a hash such as `#/grid/kisima/alerts/01H…`. Anything unknown is home. */
export function parseRoute(hash: string): Route {
  const [path = '', search = ''] = hash.replace(/^#\/?/, '').split('?');
  const query = new URLSearchParams(search);
  const parts = path.split('/').map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
  if (parts[0] === 'alerts') return { name: 'all-alerts' };
  if (parts[0] === 'more') return { name: 'more', gridId: null, query };
  if (parts[0] === 'fleet' || parts[0] === 'people') return { name: 'further', what: parts[0], gridId: null, query };
  if (parts[0] !== 'grid' || !parts[1]) return { name: 'home' };
  const gridId = parts[1];
  const name = parts[2] ?? '';
  if (name === 'alerts') return parts[3] ? { name: 'alert', gridId, alertId: parts[3] } : { name, gridId, query };
  if (/^(history|reports|devices|duty|rules|more)$/.test(name)) return { name: name as 'history', gridId, query };
  if (/^(audit|completeness|wall)$/.test(name)) return { name: 'further', what: name, gridId, query };
  return { name: 'grid', gridId, query };
}

const part = encodeURIComponent;
/** Addresses to link to. */
export const links = {
  home: '#/',
  allAlerts: '#/alerts',
  more: (gridId?: string | null) => (gridId ? `#/grid/${part(gridId)}/more` : '#/more'),
  grid: (gridId: string) => `#/grid/${part(gridId)}`,
  alerts: (gridId: string) => `#/grid/${part(gridId)}/alerts`,
  alert: (gridId: string, alertId: string) => `#/grid/${part(gridId)}/alerts/${part(alertId)}`,
  history: (gridId: string, metrics?: readonly string[]) =>
    `#/grid/${part(gridId)}/history${metrics?.length ? `?metrics=${metrics.map(part).join(',')}` : ''}`,
  reports: (gridId: string) => `#/grid/${part(gridId)}/reports`,
  duty: (gridId: string) => `#/grid/${part(gridId)}/duty`,
  devices: (gridId: string) => `#/grid/${part(gridId)}/devices`,
  rules: (gridId: string) => `#/grid/${part(gridId)}/rules`,
  further: (what: string, gridId?: string) => (gridId ? `#/grid/${part(gridId)}/${what}` : `#/${what}`),
};
