/** Devices of a grid: silent ones first, each with link state, last seen and what it measures. */
import './devices.css';
import { type CommandList, type DeviceView, freshness } from '@villagrid/contracts';
import { useCallback, useEffect, useState } from 'preact/hooks';
import {
  agoText,
  durationText,
  metricLabel,
  momentText,
  nbsp,
  percentText,
  quantityText,
  sentenceStart,
  unbroken,
} from '../../i18n/format.js';
import { addTexts, isMessageKey, t } from '../../i18n/messages.js';
import { useApp } from '../../ui/context.js';
import { Icon, type IconName } from '../../ui/icons.js';
import { links } from '../../ui/routes.js';
import { Header } from '../../ui/shell.js';
import { asJson } from '../answer/answer.js';
import { CommandSheet } from './commands.js';
import { deviceTexts } from './texts.js';

addTexts(deviceTexts);

/** Link state: the server's word while it is heard (it tells changes only), aged by this phone when it is not. */
export function shownLinkState(device: DeviceView, nowMs: number, connected: boolean): DeviceView['link_state'] {
  if (connected || device.link_state === 'offline' || device.link_state === 'never_seen') return device.link_state;
  const age = freshness(device.last_seen_ms, nowMs, device.period_s * 1000);
  return age === 'live' ? 'connected' : age === 'late' ? 'late' : 'stale';
}

const kindIcons: Readonly<Record<string, IconName>> = {
  inverter: 'bolt',
  battery: 'grid',
  meter: 'history',
  sensor: 'chip',
  weather: 'sun',
  switch: 'pylon',
  generator: 'bolt',
  gateway: 'gateway',
};

/** How a device that is asked answers, and what is wrong when it does not. */
function LinkFacts({ link }: { link: NonNullable<DeviceView['link']> }) {
  const { line, latency_ms: latencyMs, error_rate: errorRate, trouble } = link;
  return (
    <>
      {trouble !== null && (
        <div>
          <dt>{t('link.trouble')}</dt>
          <dd class="trouble">{unbroken(sentenceStart(trouble))}</dd>
        </div>
      )}
      {errorRate !== null && (
        <div>
          <dt>{t('link.answers')}</dt>
          <dd>
            {errorRate === 0 ? t('link.all') : t('link.failed', { share: percentText(Math.max(1, 100 * errorRate)) })}
            {latencyMs !== null && ` · ${t('link.latency', { ms: `${latencyMs}${nbsp}ms` })}`}
          </dd>
        </div>
      )}
      <div>
        <dt>{t('link.line')}</dt>
        <dd>
          <bdi>{line}</bdi>
        </dd>
      </div>
    </>
  );
}

function Device({
  device,
  nowMs,
  zone,
  connected,
  gridId,
  commands,
  commanded,
}: {
  device: DeviceView;
  nowMs: number;
  zone: string;
  connected: boolean;
  gridId: string;
  /** What may be told to devices; undefined while it is not known, or for who may tell nothing. */
  commands: CommandList | undefined;
  commanded: () => void;
}) {
  const state = shownLinkState(device, nowMs, connected);
  const silent = state === 'stale' || state === 'offline' || state === 'never_seen';
  const kindKey = `kind.${device.kind}`;
  const kind = isMessageKey(kindKey) ? t(kindKey) : device.kind;
  const seen = device.last_seen_ms === null ? t('age.never') : agoText(device.last_seen_ms, nowMs, zone);
  return (
    <details class="device">
      <summary class="row">
        <Icon name={silent ? 'unreachable' : (kindIcons[device.kind] ?? 'chip')} />
        <span class="main">
          <span class="t">{device.name}</span>
          <span class="d">{[kind, device.location].filter(Boolean).join(' · ')}</span>
        </span>
        <span class="end">
          <span class={silent ? 'd off' : 'd'}>{t(`device.${state}`)}</span>
          {state !== 'never_seen' && <span class="d">{seen}</span>}
        </span>
      </summary>
      <dl class="facts sec">
        {device.metrics.map((one) => (
          <div key={one.metric}>
            <dt>{metricLabel(one.metric)}</dt>
            <dd data-figure={one.metric} class={nowMs - one.time_ms > 600_000 ? 'stale' : ''}>
              {quantityText(one.metric, one.value, one.unit)}
              {nowMs - one.time_ms > 600_000 && (
                <small> {t('age.asOf', { when: momentText(one.time_ms, nowMs, zone) })}</small>
              )}
            </dd>
          </div>
        ))}
        {device.link && <LinkFacts link={device.link} />}
        <div>
          <dt>{device.protocol}</dt>
          <dd>
            <bdi>{device.device_id}</bdi> · {t('devices.every', { period: durationText(device.period_s * 1000) })}
          </dd>
        </div>
      </dl>
      {commands !== undefined && (
        <CommandSheet gridId={gridId} zone={zone} device={device} list={commands} done={commanded} />
      )}
    </details>
  );
}

export function Devices({ gridId }: { gridId: string }) {
  const app = useApp();
  const { views, nowMs, login } = app.state;
  useEffect(() => app.follow(gridId), [gridId, app]);
  const connected = app.state.channel.value === 'live' || app.state.channel.value === 'polling';
  useEffect(() => {
    if (!connected) return;
    // The live channel tells changes of links only; ages of readings are asked for while somebody looks.
    void app.refreshDevices(gridId);
    const timer = app.clock.every(10_000, () => void app.refreshDevices(gridId));
    return () => timer.cancel();
  }, [gridId, connected, app]);
  const mayCommand = login.value !== null && login.value.role !== 'viewer';
  const [commands, setCommands] = useState<CommandList>();
  const askCommands = useCallback(() => {
    // Without an answer nothing is offered: a command cannot be sent then either.
    app.api
      .ask(`/api/device/${encodeURIComponent(gridId)}/commands`, 10_000, asJson<CommandList>)
      .then(setCommands, () => undefined);
  }, [gridId, app]);
  useEffect(() => {
    if (mayCommand && connected) askCommands();
  }, [mayCommand, connected, askCommands]);
  const view = views.value[gridId];
  const now = nowMs.value;
  const devices = view?.devices ?? [];
  const zone = view?.summary.zone ?? 'UTC';
  const watched = devices.filter(({ expected }) => expected);
  const answers = (device: DeviceView) => ['connected', 'late'].includes(shownLinkState(device, now, connected));
  const byName = (a: DeviceView, b: DeviceView) => a.name.localeCompare(b.name);
  const silent = watched.filter((device) => !answers(device)).sort(byName);
  const answering = watched.filter(answers).sort(byName);
  const unwatched = devices.filter(({ expected }) => !expected).sort(byName);
  const seen = watched.filter(answers).length;
  const name = view?.summary.name ?? gridId;
  return (
    <div class="screen">
      <Header title={t('devices.title')} gridName={name} back={{ href: links.grid(gridId), to: name }} />
      <main id="content" class="narrow">
        {devices.length === 0 ? (
          <div class="empty">
            <h2>{t('devices.empty')}</h2>
            <p>{t('devices.emptyNext')}</p>
          </div>
        ) : (
          <>
            <section class="verdict">
              <h2>
                {seen === watched.length
                  ? t('devices.allAnswer', { total: watched.length })
                  : t('devices.answer', { seen, total: watched.length })}
              </h2>
            </section>
            {(
              [
                ['devices.silent', silent],
                ['devices.answering', answering],
                ['devices.unwatched', unwatched],
              ] as const
            ).map(
              ([key, list]) =>
                list.length > 0 && (
                  <section key={key} aria-label={t(key)}>
                    <h2 class="h2">
                      {t(key)}
                      <span>{list.length}</span>
                    </h2>
                    <div class="rows">
                      {list.map((device) => (
                        <Device
                          key={device.device_id}
                          device={device}
                          nowMs={now}
                          zone={zone}
                          connected={connected}
                          gridId={gridId}
                          commands={mayCommand ? commands : undefined}
                          commanded={askCommands}
                        />
                      ))}
                    </div>
                  </section>
                ),
            )}
          </>
        )}
      </main>
    </div>
  );
}
