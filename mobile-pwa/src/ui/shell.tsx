/** The frame of every screen: header with title and status line, tabs below or rail at the side, connection sheet. */
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import { t } from '../i18n/messages.js';
import { useApp } from './context.js';
import { Icon, type IconName } from './icons.js';
import { links } from './routes.js';
import { sourceLine } from './source.js';
import { chooseTheme, theme, wide } from './theme.js';
import { paused, speaks, worstCalm } from '../live/apply.js';
import { withActs } from '../local/acts.js';
import { valid } from '../origin/roaming.js';

/** The grid that tabs lead to when none is open: the only one, or the last one looked at. */
export function tabGridId(app: ReturnType<typeof useApp>): string | null {
  const { route, followed, grids } = app.state;
  const now = route.value;
  if ('gridId' in now && now.gridId !== null) return now.gridId;
  if (grids.value.length === 1) return grids.value[0]?.grid_id ?? null;
  return followed.value;
}

/** Four tabs, always the same, always in the same order. */
export function Tabs() {
  const app = useApp();
  const { route, grids, views, acts, nowMs } = app.state;
  const name = route.value.name;
  const gridId = tabGridId(app);
  const inGrid = 'gridId' in route.value && route.value.gridId !== null;
  const single = grids.value.length <= 1;
  const view = gridId === null ? undefined : views.value[gridId];
  const unseen =
    (inGrid || single) && view !== undefined
      ? view.alerts
          .map((alert) => withActs(alert, acts.value))
          .filter((alert) => speaks(alert) && !alert.seen && !paused(alert, nowMs.value)).length
      : grids.value.filter((grid) => grid.open_alerts > 0 && !worstCalm(grid, nowMs.value)).length;
  const alertsHref = (inGrid || single) && gridId !== null ? links.alerts(gridId) : links.allAlerts;
  const tabs: { key: string; icon: IconName; label: string; href: string; current: boolean }[] = [
    {
      key: 'grid',
      icon: 'grid',
      label: t('tab.grid'),
      href: inGrid && gridId !== null ? links.grid(gridId) : links.home,
      current: name === 'home' || name === 'grid' || name === 'devices' || name === 'reports',
    },
    {
      key: 'alerts',
      icon: 'bell',
      label: t('tab.alerts'),
      href: alertsHref,
      current: name === 'alerts' || name === 'alert' || name === 'all-alerts',
    },
    {
      key: 'history',
      icon: 'history',
      label: t('tab.history'),
      href:
        gridId === null ? (grids.value[0] ? links.history(grids.value[0].grid_id) : links.home) : links.history(gridId),
      current: name === 'history',
    },
    {
      key: 'more',
      icon: 'menu',
      label: t('tab.more'),
      href: links.more(inGrid ? gridId : null),
      current: name === 'more' || name === 'duty' || name === 'further',
    },
  ];
  return (
    <nav class="tabs" aria-label={t('tab.main')}>
      {wide.value && (
        <div class="brand" aria-hidden="true">
          <svg class="ic" viewBox="0 0 24 24">
            <path d="M12 4v16M7.500 7.500H10M14 7.500h2.500M7.500 16.500H10M14 16.500h2.500" />
            <circle cx="5" cy="7.5" r="2.2" />
            <circle cx="5" cy="16.5" r="2.2" />
            <circle cx="19" cy="7.5" r="2.2" />
            <circle cx="19" cy="16.5" r="2.2" />
          </svg>
        </div>
      )}
      <ul>
        {tabs.map((tab) => (
          <li key={tab.key}>
            <a href={tab.href} {...(tab.current ? { 'aria-current': 'page' as const } : {})}>
              <Icon name={tab.icon} />
              {tab.label}
              {tab.key === 'alerts' && unseen > 0 && (
                <span class="badge">
                  <span aria-hidden="true">{unseen > 99 ? '99+' : unseen}</span>
                  <span class="sr">{t('tab.alerts.new', { n: unseen })}</span>
                </span>
              )}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

/** The status line of the open grid, also used by the connection sheet. */
export function useSource() {
  const app = useApp();
  const { route, followed, views, channel, login, loginExpired, nowMs } = app.state;
  const now = route.value;
  const gridId = 'gridId' in now && now.gridId !== null ? now.gridId : followed.value;
  const view = gridId === null ? undefined : views.value[gridId];
  return sourceLine({
    summary: view?.summary,
    answeredAtMs: view?.answeredAtMs ?? null,
    channel: channel.value,
    loggedIn: valid(login.value) && !loginExpired.value,
    nowMs: nowMs.value,
  });
}

/** Whether values on screen may be called present: a server is heard, or was a moment ago. */
export function useHeard(): boolean {
  const { channel } = useApp().state;
  return useSource().current || channel.value === 'connecting';
}

/** Header: back, title, status line, sunlight button. `source` replaces the grid's own status line. */
export function Header({
  title,
  back,
  source,
  gridName,
}: {
  title: string;
  back?: { href: string; to: string } | undefined;
  source?: { icon: IconName; text: string };
  gridName?: string | undefined;
}) {
  const app = useApp();
  const own = useSource();
  const line = source ?? own;
  const text = gridName === undefined ? line.text : `${gridName} · ${line.text}`;
  const heading = useRef<HTMLHeadingElement>(null);
  const first = useRef(true);
  useLayoutEffect(() => {
    document.title = title === t('app.name') ? title : `${title} · ${t('app.name')}`;
  }, [title]);
  useEffect(() => {
    // After moving to another screen the reader starts at its title, not where the old one was left.
    if (!first.current || app.state.route.peek().name !== 'home') heading.current?.focus({ preventScroll: true });
    first.current = false;
  }, []);
  const sunlight = theme.value === 'sunlight';
  return (
    <header class="top">
      {back !== undefined && (
        <a class="hit" href={back.href} aria-label={t('header.back', { to: back.to })}>
          <Icon name="back" flip />
        </a>
      )}
      <div class="who">
        <h1 ref={heading} tabIndex={-1}>
          {title}
        </h1>
        <button
          type="button"
          class="src"
          aria-label={t('header.source', { source: text })}
          onClick={() => {
            app.state.sheetOpen.value = true;
          }}
        >
          <Icon name={line.icon} />
          {text}
        </button>
      </div>
      <button
        type="button"
        class="hit"
        aria-label={t(sunlight ? 'header.dark' : 'header.sunlight')}
        onClick={() => chooseTheme(sunlight ? 'dark' : 'sunlight')}
      >
        <Icon name={sunlight ? 'moon' : 'sun'} />
      </button>
    </header>
  );
}
