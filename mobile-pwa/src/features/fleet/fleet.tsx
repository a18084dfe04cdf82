/** Many grids for somebody far away: which of them need a person and why, and how their gateways are. In pages of fifty. */
import '../home/home.css';
import './fleet.css';
import { type GridNeed, type GridState, gridNeeds } from '@villagrid/contracts';
import { useEffect, useMemo, useState } from 'preact/hooks';
import { agoText, durationText, momentText, percentText } from '../../i18n/format.js';
import { addTexts, isMessageKey, t } from '../../i18n/messages.js';
import { useApp } from '../../ui/context.js';
import { Icon, Severity } from '../../ui/icons.js';
import { links } from '../../ui/routes.js';
import { Header } from '../../ui/shell.js';
import { wide } from '../../ui/theme.js';
import { useGridsSource, worstText } from '../home/source.js';
import { homeTexts } from '../home/texts.js';
import { countNeeds, type FleetFilter, rankFleet } from './rank.js';
import { fleetTexts } from './texts.js';

addTexts(fleetTexts);
addTexts(homeTexts);

/** Rows that are drawn at first and with each further tap. */
const pageSize = 50;

const isFilter = (text: string | null): text is FleetFilter =>
  text === 'any' || text === 'all' || (gridNeeds as readonly (string | null)[]).includes(text);

/** Why a grid needs somebody, in words with their figure. */
export function whyText(need: GridNeed, grid: GridState, nowMs: number): string {
  const { gateway, last_reported_ms, zone } = grid;
  switch (need) {
    case 'alert':
      return t('fleet.why.alert', {
        severity: t(`severity.${grid.worst_severity ?? 'high'}`),
        message: worstText(grid),
      });
    case 'silent':
      return t('fleet.why.silent', { when: momentText(last_reported_ms ?? nowMs, nowMs, zone) });
    case 'backlog':
      return t('fleet.why.backlog', { age: durationText((gateway?.backlog_age_s ?? 0) * 1000) });
    case 'differs':
      return t('fleet.why.differs', { n: gateway?.differing_days ?? 0 });
    case 'disk':
      return t('fleet.why.disk', { value: percentText(gateway?.disk_used_pct ?? 0) });
    case 'card':
      return t('fleet.why.card', { value: percentText(gateway?.card_life_used_pct ?? 0) });
    case 'clock':
    case 'never_heard':
      return t(`fleet.why.${need}`);
  }
}

function Why({ grid, nowMs, symbol = false }: { grid: GridState; nowMs: number; symbol?: boolean }) {
  const { needs = [] } = grid;
  if (needs.length === 0) return <span class="d">{t('fleet.none')}</span>;
  return (
    <ul class="why">
      {needs.map((need) => (
        <li key={need}>
          {symbol && need === 'alert' && grid.worst_severity !== null && (
            <Severity severity={grid.worst_severity} label={false} small />
          )}
          <span>{whyText(need, grid, nowMs)}</span>
        </li>
      ))}
    </ul>
  );
}

const Unknown = () => <span class="nothing-known">— {t('value.none')}</span>;

function completeText({ gateway, zone }: GridState, nowMs: number): string | undefined {
  if (gateway === undefined || gateway.complete_until_ms === null) return undefined;
  return gateway.backlog_age_s === 0 ? t('fleet.upToDate') : momentText(gateway.complete_until_ms, nowMs, zone);
}

function heardText({ last_reported_ms, zone }: GridState, nowMs: number): string {
  return last_reported_ms === null ? t('home.neverReported') : agoText(last_reported_ms, nowMs, zone);
}

function FleetRow({ grid, nowMs }: { grid: GridState; nowMs: number }) {
  const { gateway, worst_severity, reachable } = grid;
  return (
    <a class="row" href={links.grid(grid.grid_id)}>
      {!reachable ? (
        <span class="symbol">
          <Icon name="unreachable" />
        </span>
      ) : worst_severity !== null ? (
        <Severity severity={worst_severity} label={false} />
      ) : (
        <span class="symbol" />
      )}
      <span class="main">
        <span class="t">{grid.name}</span>
        <Why grid={grid} nowMs={nowMs} />
        {gateway !== undefined && (
          <span class="d">
            {t('fleet.line', {
              version: gateway.version ?? `— ${t('value.none')}`,
              complete: completeText(grid, nowMs) ?? `— ${t('value.none')}`,
            })}
          </span>
        )}
      </span>
      {reachable && <span class="end d">{heardText(grid, nowMs)}</span>}
    </a>
  );
}

function FleetTable({ grids, nowMs }: { grids: readonly GridState[]; nowMs: number }) {
  const columns = ['grid', 'why', 'heard', 'complete', 'backlog', 'version', 'clock', 'disk', 'card'] as const;
  return (
    <div class="fleet-table-box" tabIndex={0} role="region" aria-label={t('fleet.title')}>
      <table class="fleet-table">
        <thead>
          <tr>
            {columns.map((one) => (
              <th key={one} scope="col">
                {t(`fleet.column.${one}`)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {grids.map((grid) => {
            const { gateway } = grid;
            const clockKey = `fleet.clock.${gateway?.clock_trust}`;
            return (
              <tr key={grid.grid_id}>
                <td>
                  <a href={links.grid(grid.grid_id)}>{grid.name}</a>
                  {grid.reachable && <small>{t(`power.${grid.power}`)}</small>}
                </td>
                <td class="why-cell">
                  <Why grid={grid} nowMs={nowMs} symbol />
                </td>
                <td>{heardText(grid, nowMs)}</td>
                <td>{completeText(grid, nowMs) ?? <Unknown />}</td>
                <td>
                  {gateway === undefined || (!grid.reachable && gateway.backlog_frames === 0) ? (
                    <Unknown />
                  ) : gateway.backlog_frames === 0 ? (
                    t('fleet.noBacklog')
                  ) : (
                    t('fleet.backlogFrames', { n: gateway.backlog_frames })
                  )}
                </td>
                <td>{gateway?.version ?? <Unknown />}</td>
                <td>
                  {gateway?.clock_trust == null ? (
                    <Unknown />
                  ) : isMessageKey(clockKey) ? (
                    t(clockKey)
                  ) : (
                    gateway.clock_trust
                  )}
                </td>
                <td>{gateway?.disk_used_pct == null ? <Unknown /> : percentText(gateway.disk_used_pct)}</td>
                <td>{gateway?.card_life_used_pct == null ? <Unknown /> : percentText(gateway.card_life_used_pct)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

export function Fleet({ query }: { query: URLSearchParams }) {
  const app = useApp();
  const { grids, gridsAtMs, gridsState } = app.state;
  useEffect(() => {
    app.follow(null);
    void app.refreshGrids();
  }, [app]);
  const given = query.get('show');
  const all = grids.value;
  const counts = useMemo(() => countNeeds(all), [all]);
  const [chosen, setChosen] = useState<FleetFilter | undefined>(isFilter(given) ? given : undefined);
  const filter = chosen ?? ((counts.get('any') ?? 0) > 0 ? 'any' : 'all');
  const [search, setSearch] = useState('');
  const [shown, setShown] = useState(pageSize);
  const ranked = useMemo(() => rankFleet(all, filter, search), [all, filter, search]);
  // Ages are told as of the answer: a thousand rows are not drawn anew each second for nothing.
  const now = gridsAtMs.value ?? app.state.nowMs.peek();
  const page = ranked.slice(0, shown);
  const source = useGridsSource();
  const needing = counts.get('any') ?? 0;
  const filters: readonly FleetFilter[] = ['any', ...gridNeeds.filter((need) => (counts.get(need) ?? 0) > 0), 'all'];
  return (
    <div class="screen fleet">
      <Header title={t('fleet.title')} source={source} back={{ href: links.home, to: t('home.title') }} />
      <main id="content">
        {all.length === 0 ? (
          gridsState.value === 'loading' ? (
            <div aria-hidden="true">
              {[1, 2, 3].map((n) => (
                <div class="skeleton" key={n} />
              ))}
            </div>
          ) : (
            <div class="empty">
              <h2>{t(gridsState.value === 'failed' ? 'home.error.title' : 'home.empty.title')}</h2>
              <p>{t(gridsState.value === 'failed' ? 'home.error.body' : 'home.empty.body')}</p>
              <button type="button" class="btn" onClick={app.tryNow}>
                {t('home.retry')}
              </button>
            </div>
          )
        ) : (
          <>
            <section class="verdict">
              <h2>
                {needing === 0
                  ? t('fleet.verdictNone', { total: all.length })
                  : t(needing === 1 ? 'fleet.needsOne' : 'fleet.needsMany', { n: needing, total: all.length })}
              </h2>
            </section>
            <div class="fleet-bar">
              <label class="field find">
                <Icon name="search" />
                <span class="sr">{t('fleet.search')}</span>
                <input
                  class="input"
                  type="search"
                  placeholder={t('fleet.search')}
                  value={search}
                  onInput={(event) => {
                    setSearch(event.currentTarget.value);
                    setShown(pageSize);
                  }}
                />
              </label>
              {!wide.value && (
                <label class="field">
                  <span class="sr">{t('fleet.filter')}</span>
                  <select
                    class="input"
                    value={filter}
                    onChange={(event) => {
                      setChosen(event.currentTarget.value as FleetFilter);
                      setShown(pageSize);
                    }}
                  >
                    {filters.map((one) => (
                      <option key={one} value={one}>
                        {`${t(one === 'any' || one === 'all' ? `fleet.${one}` : `fleet.need.${one}`)} · ${counts.get(one) ?? 0}`}
                      </option>
                    ))}
                  </select>
                </label>
              )}
              <div class="chips" role="group" aria-label={t('fleet.filter')} hidden={!wide.value}>
                {filters.map((one) => (
                  <button
                    key={one}
                    type="button"
                    class="chip"
                    aria-pressed={one === filter}
                    onClick={() => {
                      setChosen(one);
                      setShown(pageSize);
                    }}
                  >
                    {t(one === 'any' || one === 'all' ? `fleet.${one}` : `fleet.need.${one}`)}
                    <span class="count">{counts.get(one) ?? 0}</span>
                  </button>
                ))}
              </div>
            </div>
            <p class="h2" role="status">
              {ranked.length === 0 ? t('fleet.nothing') : t('fleet.count', { n: ranked.length })}
            </p>
            {wide.value ? (
              page.length > 0 && <FleetTable grids={page} nowMs={now} />
            ) : (
              <div class="rows">
                {page.map((grid) => (
                  <FleetRow key={grid.grid_id} grid={grid} nowMs={now} />
                ))}
              </div>
            )}
            {ranked.length > shown && (
              <div class="more-of">
                <button type="button" class="btn" onClick={() => setShown(shown + pageSize)}>
                  {t('fleet.more', { n: Math.min(pageSize, ranked.length - shown) })}
                </button>
              </div>
            )}
          </>
        )}
      </main>
    </div>
  );
}
