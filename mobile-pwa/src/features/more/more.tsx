/** More: theme, connection, what is kept on this phone, who is logged in, version. */
import '../seg.css';
import './more.css';
import { useEffect, useState } from 'preact/hooks';
import { bytesText } from '../../i18n/format.js';
import { addTexts, isMessageKey, t } from '../../i18n/messages.js';
import { valid } from '../../origin/roaming.js';
import { useApp } from '../../ui/context.js';
import { Icon } from '../../ui/icons.js';
import { links } from '../../ui/routes.js';
import { Header, tabGridId, useSource } from '../../ui/shell.js';
import { chooseTheme, type ThemeChoice, themeChoice } from '../../ui/theme.js';
import { LanguageChoice } from '../language/language-choice.js';
import { dutyTexts } from '../duty/texts.js';
import { moreTexts } from './texts.js';

addTexts(moreTexts);
addTexts(dutyTexts);

declare const __APP_VERSION__: string;
const themes: readonly ThemeChoice[] = ['dark', 'sunlight', 'system'];

export function More() {
  const app = useApp();
  const { state } = app;
  const { grids, login, acts, discovery, lastServer, views } = state;
  const gridId = tabGridId(app);
  const view = gridId === null ? undefined : views.value[gridId];
  const source = useSource();
  const waiting = acts.value.filter((act) => act.state === 'waiting').length;
  const kind = discovery.value?.kind ?? lastServer.value.kind;
  const server = kind === null ? '' : t(`source.${kind}`);
  const roleKey = `role.${login.value?.role ?? ''}`;
  const [leaving, setLeaving] = useState(false);
  return (
    <div class="screen">
      <Header title={t('more.title')} gridName={view?.summary.name} />
      <main id="content" class="narrow">
        <section aria-labelledby="theme-title">
          <h2 class="h2" id="theme-title">
            {t('more.theme')}
          </h2>
          <div class="seg more-seg" role="group" aria-labelledby="theme-title">
            {themes.map((one) => (
              <button key={one} type="button" aria-pressed={themeChoice.value === one} onClick={() => chooseTheme(one)}>
                {t(`more.theme.${one}`)}
              </button>
            ))}
          </div>
        </section>
        <div class="sec">
          <LanguageChoice />
        </div>
        <div class="rows more-rows">
          {grids.value.length > 1 && (
            <a class="row" href={links.home}>
              <Icon name="grid" />
              <span class="main">
                <span class="t plain">{t('more.allGrids')}</span>
              </span>
              <Icon name="next" flip class="chev" />
            </a>
          )}
          {grids.value.length > 1 && kind === 'cloud' && (
            <a class="row" href={links.further('fleet')}>
              <Icon name="table" />
              <span class="main">
                <span class="t plain">{t('more.fleet')}</span>
                <span class="d">{t('more.fleetLine')}</span>
              </span>
              <Icon name="next" flip class="chev" />
            </a>
          )}
          {gridId !== null && (
            <a class="row" href={links.reports(gridId)}>
              <Icon name="table" />
              <span class="main">
                <span class="t plain">{t('reports.title')}</span>
                <span class="d">{t('reports.open')}</span>
              </span>
              <Icon name="next" flip class="chev" />
            </a>
          )}
          {gridId !== null && (
            <a class="row" href={links.duty(gridId)}>
              <Icon name="note" />
              <span class="main">
                <span class="t plain">{t('duty.title')}</span>
                <span class="d">{t('duty.open')}</span>
              </span>
              <Icon name="next" flip class="chev" />
            </a>
          )}
          {gridId !== null && (
            <a class="row" href={links.devices(gridId)}>
              <Icon name="chip" />
              <span class="main">
                <span class="t plain">{t('devices.title')}</span>
                {view !== undefined && (
                  <span class="d">
                    {t('devices.line', { seen: view.summary.devices.seen, total: view.summary.devices.total })}
                  </span>
                )}
              </span>
              <Icon name="next" flip class="chev" />
            </a>
          )}
          {gridId !== null && (
            <a class="row" href={links.rules(gridId)}>
              <Icon name="bell" />
              <span class="main">
                <span class="t plain">{t('more.rules')}</span>
                <span class="d">{t('more.rulesLine')}</span>
              </span>
              <Icon name="next" flip class="chev" />
            </a>
          )}
          {gridId !== null && (
            <a class="row" href={links.further('completeness', gridId)}>
              <Icon name="check" />
              <span class="main">
                <span class="t plain">{t('more.complete')}</span>
                <span class="d">{t('more.completeLine')}</span>
              </span>
              <Icon name="next" flip class="chev" />
            </a>
          )}
          {gridId !== null && (
            <a class="row" href={links.further('wall', gridId)}>
              <Icon name="phone" />
              <span class="main">
                <span class="t plain">{t('more.wall')}</span>
                <span class="d">{t('more.wallLine')}</span>
              </span>
              <Icon name="next" flip class="chev" />
            </a>
          )}
          {login.value?.role === 'admin' && (
            <a class="row" href={links.further('people')}>
              <Icon name="person" />
              <span class="main">
                <span class="t plain">{t('more.people')}</span>
                <span class="d">{t('more.peopleLine')}</span>
              </span>
              <Icon name="next" flip class="chev" />
            </a>
          )}
          {login.value?.role === 'admin' && gridId !== null && (
            <a class="row" href={links.further('audit', gridId)}>
              <Icon name="eye" />
              <span class="main">
                <span class="t plain">{t('more.audit')}</span>
                <span class="d">{t('more.auditLine')}</span>
              </span>
              <Icon name="next" flip class="chev" />
            </a>
          )}
          <button
            type="button"
            class="row"
            onClick={() => {
              state.sheetOpen.value = true;
            }}
          >
            <Icon name={source.icon} />
            <span class="main">
              <span class="t plain">{t('more.connection')}</span>
              <span class="d">
                {source.text}
                {waiting > 0 && ` · ${t('more.waiting', { n: waiting })}`}
              </span>
            </span>
            <Icon name="next" flip class="chev" />
          </button>
        </div>
        <Storage />
        <section class="more-block" aria-labelledby="user-title">
          <h2 class="h2" id="user-title">
            {!valid(login.value) ? t('more.notLoggedIn') : t('more.user', { name: login.value.displayName })}
            <span>{valid(login.value) && isMessageKey(roleKey) && t('more.role', { role: t(roleKey), server })}</span>
          </h2>
          <div class="sec">
            {!valid(login.value) ? (
              <button
                type="button"
                class="btn"
                onClick={() => {
                  if (login.value === null) state.peeking.value = false;
                  else state.loginExpired.value = true;
                }}
              >
                {t('more.login')}
              </button>
            ) : leaving ? (
              <div class="ask" role="group" aria-label={t('more.logout')}>
                <p>{t('more.logoutAsk', { server: server || location.host })}</p>
                <div class="buttons">
                  <button type="button" class="btn pri" onClick={() => void app.logOut()}>
                    {t('more.logoutYes')}
                  </button>
                  <button type="button" class="btn" onClick={() => setLeaving(false)}>
                    {t('more.logoutNo')}
                  </button>
                </div>
              </div>
            ) : (
              <button type="button" class="btn" onClick={() => setLeaving(true)}>
                {t('more.logout')}
              </button>
            )}
          </div>
        </section>
        <p class="note-line">
          {t('more.versionLine', {
            app: __APP_VERSION__,
            server,
            build: discovery.value?.build ?? lastServer.value.build ?? '',
          })}
        </p>
      </main>
    </div>
  );
}

function Storage() {
  const app = useApp();
  const [used, setUsed] = useState<number>();
  const [safe, setSafe] = useState<boolean>();
  const [asking, setAsking] = useState(false);
  const [cleared, setCleared] = useState(false);
  useEffect(() => {
    void navigator.storage?.estimate?.().then(
      ({ usage }) => setUsed(usage),
      () => undefined,
    );
    void navigator.storage?.persisted?.().then(setSafe, () => undefined);
  }, [cleared]);
  return (
    <section class="more-block" aria-labelledby="storage-title">
      <h2 class="h2" id="storage-title">
        {t('more.storage')}
        <span>{used !== undefined && t('more.storage.used', { used: bytesText(used) })}</span>
      </h2>
      <div class="sec">
        <p class="more-text">{t('more.storage.kept')}</p>
        {!app.state.persistent ? (
          <p class="more-text">{t('more.storage.none')}</p>
        ) : safe === undefined ? null : (
          <p class="more-text">{t(safe ? 'more.storage.safe' : 'more.storage.notSafe')}</p>
        )}
        {asking ? (
          <div class="ask" role="group" aria-label={t('more.storage.clear')}>
            <p>{t('more.storage.clearAsk')}</p>
            <div class="buttons">
              <button
                type="button"
                class="btn pri"
                onClick={() => {
                  void app.clearSaved().then(() => setCleared(true));
                  setAsking(false);
                }}
              >
                {t('more.storage.clearYes')}
              </button>
              <button type="button" class="btn" onClick={() => setAsking(false)}>
                {t('more.storage.no')}
              </button>
            </div>
          </div>
        ) : (
          <div class="buttons">
            {safe === false && (
              <button
                type="button"
                class="btn"
                onClick={() => void navigator.storage.persist().then(setSafe, () => undefined)}
              >
                {t('more.storage.ask')}
              </button>
            )}
            <button type="button" class="btn quiet" onClick={() => setAsking(true)}>
              {t('more.storage.clear')}
            </button>
          </div>
        )}
        <p class="more-text" role="status">
          {cleared && t('more.storage.cleared')}
        </p>
      </div>
    </section>
  );
}
