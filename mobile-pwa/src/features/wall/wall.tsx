/**
 * The bell of the village: an old phone in a hallway. Big verdict, three figures, the worst alert with its first step and
 * one button; no navigation. Stays on through outages: what is shown ages, and the channel comes back by itself.
 */
import './wall.css';
import { zoneOffsetMs } from '@villagrid/contracts';
import { useEffect, useRef, useState } from 'preact/hooks';
import { wordsOf } from '../../i18n/alert-words.js';
import { clockText, sentenceStart } from '../../i18n/format.js';
import { addTexts, t } from '../../i18n/messages.js';
import { verdictWords } from '../../i18n/verdict.js';
import { openAlerts, paused, pausedLast } from '../../live/apply.js';
import { withActs } from '../../local/acts.js';
import { useApp } from '../../ui/context.js';
import { Icon, Severity } from '../../ui/icons.js';
import { links } from '../../ui/routes.js';
import { useSource } from '../../ui/shell.js';
import { ageText, figureFreshness, Value } from '../../ui/value.js';
import { seenText, sinceText } from '../alerts/alert-row.js';
import { wallTexts } from './texts.js';
import { createWallKeeper, type WallKeeper } from './wall-keeper.js';

addTexts(wallTexts);

/** How often an alert that nobody has seen rings, ms. */
const ringEveryMs = 30_000;
const figures = [
  ['consumption_kw', 'figure.consumption'],
  ['generation_kw', 'figure.generation'],
  ['battery_soc_pct', 'figure.battery'],
] as const;

/** Between 22 and 6 o'clock of the village the screen is dim, except for an alert that wants somebody. */
export function isNight(nowMs: number, zone: string): boolean {
  const hour = Math.floor(((nowMs + zoneOffsetMs(zone, nowMs)) / 3_600_000) % 24);
  return hour >= 22 || hour < 6;
}

export function Wall({ gridId }: { gridId: string }) {
  const app = useApp();
  const { views, acts, nowMs, login, channel, grids } = app.state;
  useEffect(() => app.follow(gridId), [gridId, app]);
  const [, redraw] = useState(0);
  const keeper = useRef<WallKeeper>(undefined);
  useEffect(() => {
    const made = createWallKeeper(() => redraw((count) => count + 1));
    keeper.current = made;
    redraw((count) => count + 1);
    document.title = `${t('wall.title')} · ${t('app.name')}`;
    return () => made.stop();
  }, []);
  const source = useSource();
  const view = views.value[gridId];
  const now = nowMs.value;
  const zone = view?.summary.zone ?? 'UTC';
  const connected = source.current || channel.value === 'connecting';
  const alerts = pausedLast(
    openAlerts(view?.alerts ?? []).map((alert) => withActs(alert, acts.value)),
    now,
  );
  const calling = alerts.filter(
    (alert) => !alert.seen && !paused(alert, now) && (alert.severity === 'critical' || alert.severity === 'high'),
  );
  const worst = calling[0] ?? alerts.find((alert) => alert.severity === 'critical' || alert.severity === 'high');
  const callingId = calling[0]?.alert_id;
  useEffect(() => {
    if (callingId === undefined) return;
    keeper.current?.ring();
    const timer = app.clock.every(ringEveryMs, () => keeper.current?.ring());
    return () => timer.cancel();
  }, [callingId, app]);
  const started = keeper.current?.started() === true;
  const awake = keeper.current?.awake() === true;
  const summary = view?.summary;
  const times = figures.flatMap(([metric]) => summary?.figures[metric]?.time_ms ?? []);
  const current =
    connected && figures.some(([metric]) => ['live', 'late'].includes(figureFreshness(summary?.figures[metric], now)));
  const words =
    summary === undefined
      ? { lead: t('verdict.unknown'), rest: '', small: '' }
      : verdictWords({
          summary,
          openAlerts: alerts.map((alert) => ({ ...alert, message: wordsOf(alert).message })),
          current,
          asOfMs: times.length === 0 ? null : Math.max(...times),
          nowMs: now,
        });
  const powerText = current ? t(`wall.power.${summary?.verdict.power ?? 'unknown'}`) : words.lead;
  const said = worst === undefined ? undefined : wordsOf(worst);
  const firstStep = said?.steps[0] ?? worst?.device_name ?? null;
  const name = summary?.name ?? grids.value.find((one) => one.grid_id === gridId)?.name ?? gridId;
  const mayAct = login.value !== null && login.value.role !== 'viewer';
  const waiting = worst?.waiting.some(({ type }) => type === 'acknowledge') === true;
  return (
    <div class={`wall ${isNight(now, zone) && calling.length === 0 ? 'night' : ''}`}>
      <header>
        <h1 tabIndex={-1}>{name}</h1>
        <time>{clockText(now, zone)}</time>
        <a class="hit" href={links.grid(gridId)} aria-label={t('wall.leave')}>
          <Icon name="close" />
        </a>
      </header>
      <main id="content" class={worst === undefined ? '' : 'alarm'}>
        {worst !== undefined && said !== undefined && (
          <>
            <div class="word">
              <Severity severity={worst.severity} blink={!worst.seen} label={false} />
              <span>
                <b>{t(`severity.${worst.severity}`)}</b>
                {sinceText(worst, now, zone)}
              </span>
            </div>
            <h2 class={`big ${said.message.length > 28 ? 'long' : ''}`}>{sentenceStart(said.message)}</h2>
            {firstStep !== null && <p class="step">{firstStep}</p>}
            <p class="by">
              {[
                worst.seen ? `${sentenceStart(seenText(worst))}.` : t('wall.by'),
                powerText,
                alerts.length > 1 ? `${t('wall.others', { n: alerts.length - 1 })}.` : '',
              ]
                .filter(Boolean)
                .join(' ')}
            </p>
          </>
        )}
        {worst === undefined && (
          <section data-verdict>
            <h2 class={`big ${words.lead.length > 28 ? 'long' : ''}`}>{words.lead}</h2>
            {words.rest !== '' && <p class="step">{words.rest}</p>}
            {words.small !== '' && <p class="by">{words.small}</p>}
            {alerts.length > 0 && (
              <p class="by">
                {alerts[0] === undefined ? '' : sentenceStart(wordsOf(alerts[0]).message)}
                {alerts.length > 1 && ` · ${t('wall.others', { n: alerts.length - 1 })}`}
              </p>
            )}
          </section>
        )}
        <dl class="wall-figures">
          {figures.map(([metric, label]) => {
            const figure = summary?.figures[metric];
            const age = ageText(figure, now, zone, connected);
            return (
              <div key={metric}>
                <dt>{t(label)}</dt>
                <dd>
                  <Value metric={metric} figure={figure} nowMs={now} heard={connected} />
                  {age !== '' && <span class="n">{age}</span>}
                </dd>
              </div>
            );
          })}
        </dl>
      </main>
      <footer>
        {worst !== undefined && mayAct && (!worst.seen || waiting) && (
          <button
            type="button"
            class="btn pri"
            disabled={waiting}
            onClick={() => void app.act({ alert: worst, type: 'acknowledge', note: null })}
          >
            <Icon name={waiting ? 'clock' : 'eye'} />
            {t(waiting ? 'wall.seenWait' : 'wall.seen')}
          </button>
        )}
        {!started && (
          <>
            <button type="button" class="btn block start" onClick={() => void keeper.current?.start()}>
              <Icon name="bell" />
              {t('wall.start')}
            </button>
            {worst === undefined && <p class="start-about">{t('wall.startAbout')}</p>}
          </>
        )}
        <p>
          {started && (
            <span>
              <Icon name="bell" />
              {t('wall.sound')}
            </span>
          )}
          <span>
            <Icon name="sun" />
            {t(awake ? 'wall.awake' : 'wall.notAwake')}
          </span>
          <span>
            <Icon name={source.icon} />
            {source.text}
          </span>
        </p>
      </footer>
    </div>
  );
}
