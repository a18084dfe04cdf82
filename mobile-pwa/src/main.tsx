/** Composition root of the app: real clock and store in, screens out. */
import { render } from 'preact';
import { useEffect } from 'preact/hooks';
import './ui/tokens.css';
import './ui/base.css';
import './features/login/login.css';
import './features/home/home.css';
import './features/dashboard/dashboard.css';
import './features/alerts/alerts.css';
import './features/history/history.css';
import './features/devices/devices.css';
import './features/more/more.css';
import { createApp } from './app.js';
import { HatchPattern } from './chart/sparkline.js';
import { AlertScreen } from './features/alerts/alert-detail.js';
import { Alerts } from './features/alerts/alerts.js';
import { AllAlerts } from './features/alerts/all-alerts.js';
import { Dashboard } from './features/dashboard/dashboard.js';
import { Devices } from './features/devices/devices.js';
import { History } from './features/history/history.js';
import { GridList, Home } from './features/home/home.js';
import { Login } from './features/login/login.js';
import { More } from './features/more/more.js';
import { sentenceStart } from './i18n/format.js';
import { t } from './i18n/messages.js';
import { openLocalStore } from './local/database.js';
import { clock, onNetworkChange, onVisibility, random } from './platform/platform.js';
import { ConnectionSheet } from './ui/connection-sheet.js';
import { AppContext, useApp } from './ui/context.js';
import { parseRoute } from './ui/routes.js';
import { Tabs } from './ui/shell.js';
import { wide } from './ui/theme.js';
import { registerWorker, useNewVersion } from './sw/register.js';

function Screen() {
  const { state } = useApp();
  const route = state.route.value;
  switch (route.name) {
    case 'home':
      return <Home />;
    case 'all-alerts':
      return <AllAlerts />;
    case 'grid':
      return <Dashboard key={route.gridId} gridId={route.gridId} />;
    case 'alerts':
      return <Alerts gridId={route.gridId} />;
    case 'alert':
      return wide.value ? (
        <Alerts gridId={route.gridId} alertId={route.alertId} />
      ) : (
        <AlertScreen key={route.alertId} gridId={route.gridId} alertId={route.alertId} />
      );
    case 'history':
      return <History key={route.gridId} gridId={route.gridId} query={route.query} />;
    case 'devices':
      return <Devices gridId={route.gridId} />;
    case 'more':
      return <More />;
  }
}

function UpdateBanner() {
  const { state } = useApp();
  if (!state.updateReady.value) return null;
  return (
    <div class="banner" role="status">
      <span>{t('update.ready')}</span>
      <button type="button" class="btn quiet" onClick={useNewVersion}>
        {t('update.use')}
      </button>
      <button
        type="button"
        class="btn quiet"
        onClick={() => {
          state.updateReady.value = false;
        }}
      >
        {t('update.later')}
      </button>
    </div>
  );
}

function Root() {
  const { state } = useApp();
  const { login, peeking, loginExpired, grids, route, announcement } = state;
  const inside = login.value !== null || peeking.value;
  const list = wide.value && grids.value.length > 1;
  const now = route.value;
  useEffect(() => {
    window.scrollTo(0, 0);
  }, [now.name, 'gridId' in now ? now.gridId : '']);
  if (!inside) return <Login />;
  return (
    <>
      <div class={`frame ${list ? 'with-list' : ''}`} inert={loginExpired.value}>
        <a class="skip" href="#content" onClick={(event) => (event.preventDefault(), document.querySelector<HTMLElement>('#content h2, #content')?.focus())}>
          {t('app.skip')}
        </a>
        <Tabs />
        {list && (
          <aside class="pane list-pane" aria-label={t('home.title')}>
            <p class="top">{t('app.name')}</p>
            <GridList currentId={'gridId' in now ? now.gridId : null} />
          </aside>
        )}
        <div class="pane">
          <UpdateBanner />
          <Screen />
        </div>
      </div>
      {loginExpired.value && (
        <div class="overlay" role="dialog" aria-modal="true" aria-label={t('login.again')}>
          <Login again />
        </div>
      )}
      <ConnectionSheet />
      <HatchPattern />
      <div class="sr" aria-live="assertive">
        {announcement.value}
      </div>
    </>
  );
}

const app = await createApp({
  clock,
  random,
  store: await openLocalStore(),
  announce: (alert) => t('alerts.announce', { what: `${t(`severity.${alert.severity}`)}. ${sentenceStart(alert.message)}` }),
});
window.addEventListener('hashchange', () => {
  app.state.route.value = parseRoute(location.hash);
});
onVisibility((visible) => app.visible(visible));
onNetworkChange(() => app.tryNow());
render(
  <AppContext.Provider value={app}>
    <Root />
  </AppContext.Provider>,
  document.getElementById('app') as HTMLElement,
);
registerWorker(() => {
  app.state.updateReady.value = true;
});
