/** Composition root of the app: real clock and store in, screens out. */
import { effect } from '@preact/signals';
import { render } from 'preact';
import { useEffect } from 'preact/hooks';
import './ui/tokens.css';
import './ui/base.css';
import './features/dashboard/dashboard.css';
import { createApp } from './app.js';
import { HatchPattern } from './chart/sparkline.js';
import { Dashboard } from './features/dashboard/dashboard.js';
import { wordsOf } from './i18n/alert-words.js';
import { startLanguage } from './i18n/choose.js';
import { sentenceStart } from './i18n/format.js';
import { ownWords, t } from './i18n/messages.js';
import { openLocalStore } from './local/database.js';
import { clock, onNetworkChange, onVisibility, random } from './platform/platform.js';
import { AppContext, useApp } from './ui/context.js';
import { parseRoute } from './ui/routes.js';
import { lazy } from './ui/lazy.js';
import { Tabs } from './ui/shell.js';
import { wide } from './ui/theme.js';
import { registerWorker } from './sw/register.js';

const Login = lazy(() => import('./features/login/login.js').then((module) => module.Login));
const LoginAgain = lazy(() => import('./features/login/login.js').then((module) => module.LoginAgain));
const Home = lazy(() => import('./features/home/home.js').then((module) => module.Home));
const GridList = lazy(() => import('./features/home/home.js').then((module) => module.GridList));
const ConnectionSheet = lazy(() => import('./ui/connection-sheet.js').then((module) => module.ConnectionSheet));
const Banners = lazy(() => import('./ui/banners.js').then((module) => module.Banners));
const AlertScreen = lazy(() => import('./features/alerts/alert-detail.js').then((module) => module.AlertScreen));
const Alerts = lazy(() => import('./features/alerts/alerts.js').then((module) => module.Alerts));
const AllAlerts = lazy(() => import('./features/alerts/all-alerts.js').then((module) => module.AllAlerts));
const Devices = lazy(() => import('./features/devices/devices.js').then((module) => module.Devices));
const History = lazy(() => import('./features/history/history.js').then((module) => module.History));
const Reports = lazy(() => import('./features/reports/reports.js').then((module) => module.Reports));
const Duty = lazy(() => import('./features/duty/duty.js').then((module) => module.Duty));
const Rules = lazy(() => import('./features/rules/rules.js').then((module) => module.Rules));
const Further = lazy(() => import('./features/further.js').then((module) => module.Further));
const More = lazy(() => import('./features/more/more.js').then((module) => module.More));
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
    case 'reports':
      return <Reports key={route.gridId} gridId={route.gridId} />;
    case 'devices':
      return <Devices gridId={route.gridId} />;
    case 'duty':
      return <Duty key={route.gridId} gridId={route.gridId} />;
    case 'rules':
      return <Rules key={route.gridId} gridId={route.gridId} />;
    case 'more':
      return <More />;
    case 'further':
      return (
        <Further key={`${route.what} ${route.gridId}`} what={route.what} gridId={route.gridId} query={route.query} />
      );
  }
}

function Root() {
  const { state } = useApp();
  const { login, peeking, loginExpired, grids, route, announcement } = state;
  const inside = login.value !== null || peeking.value;
  const list = wide.value && grids.value.length > 1;
  const now = route.value;
  const wall = now.name === 'further' && now.what === 'wall';
  useEffect(() => {
    window.scrollTo(0, 0);
  }, [now.name, 'gridId' in now ? now.gridId : '']);
  if (!inside) return <Login />;
  return (
    <>
      <div class={`frame ${list ? 'with-list' : ''}`}>
        <a
          class="skip"
          href="#content"
          onClick={(event) => (
            event.preventDefault(), document.querySelector<HTMLElement>('#content h2, #content')?.focus()
          )}
        >
          {t('app.skip')}
        </a>
        {!wall && <Tabs />}
        {list && !wall && (
          <aside class="pane list-pane" aria-label={t('home.title')}>
            <p class="top">{t('app.name')}</p>
            <GridList currentId={'gridId' in now ? now.gridId : null} />
          </aside>
        )}
        <div class="pane">
          {(state.updateReady.value || !state.kept.value) && <Banners />}
          <Screen />
        </div>
      </div>
      {loginExpired.value && <LoginAgain />}
      {state.sheetOpen.value && <ConnectionSheet />}
      <HatchPattern />
      <div class="sr" aria-live="assertive">
        {announcement.value}
      </div>
    </>
  );
}

// Without its texts at hand the app speaks English.
await startLanguage().catch(() => undefined);
const app = await createApp({
  clock,
  random,
  store: await openLocalStore(),
  announce: (alert) =>
    t('alerts.announce', { what: `${t(`severity.${alert.severity}`)}. ${sentenceStart(wordsOf(alert).message)}` }),
});
effect(() => {
  const { route, views } = app.state;
  const now = route.value;
  ownWords.value = ('gridId' in now && views.value[now.gridId ?? '']?.summary.words) || {};
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
