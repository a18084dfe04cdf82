/** Whether the gateway is well, its numbers for monitoring, and the figures of the gateway itself that rules watch. */
import { statfsSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { HealthPort } from '@villagrid/api';
import { brokenRulesFigure, isTrusted, type Clock, type Timer } from '@villagrid/contracts';
import type { GuardedBroker, LifecyclePart } from '@villagrid/runtime';
import type { Alerts } from '../alerts/alerts.js';
import { sourceWords, type ClockKeeper } from '../clock/keeper.js';
import type { VillageClock } from '../clock/village-clock.js';
import type { IntakeCounters } from '../intake/intake.js';
import type { DurableLog } from '../log/log.js';
import type { Notifier } from '../notify/index.js';
import type { Projector } from '../project/projector.js';
import type { Uplink } from '../uplink/index.js';
import { prometheusText, type MetricFamily } from './prometheus.js';

/** Frames that history may be behind the log before that is a fault. */
const behindLimit = 5000;
const figuresEveryMs = 30_000;

export interface HealthOptions {
  readonly dataDir: string;
  readonly log: DurableLog;
  /** Size of the log's write-ahead log, bytes. */
  readonly walBytes: () => number;
  /** How many damaged files are set aside. */
  /** Lines to devices that cannot be reached. */
  readonly linesDown: () => number;
  /** Files of rules that cannot be used. */
  readonly brokenRules: number;
  readonly damagedFiles: () => number;
  readonly intake: IntakeCounters;
  readonly broker: GuardedBroker;
  /** Devices that may log in without TLS from the network; undefined while that is not open. */
  readonly plainDevices: readonly string[] | undefined;
  readonly projector: Projector;
  readonly alerts: Alerts;
  readonly uplink: Uplink | undefined;
  readonly notifier: Notifier | undefined;
  readonly villageClock: VillageClock;
  readonly keeper: ClockKeeper;
  readonly clock: Clock;
}

/** Health as the API sees it, and as a part that feeds the gateway's own figures to the rules. */
export function createHealth(options: HealthOptions): {
  readonly port: HealthPort;
  readonly part: LifecyclePart;
  /** Tells the rules how the gateway itself is, now. */
  feed(): void;
} {
  const {
    dataDir,
    log,
    intake,
    broker,
    plainDevices,
    projector,
    alerts,
    uplink,
    notifier,
    villageClock,
    keeper,
    clock,
    walBytes,
    damagedFiles,
  } = options;
  const loop = monitorEventLoopDelay({ resolution: 20 });
  let timer: Timer | undefined;
  let leave: (() => void) | undefined;

  const feed = (): void => {
    alerts.onInternalFigure('gateway_lines_down', options.linesDown());
    alerts.onInternalFigure('gateway_clock_trust', isTrusted(villageClock.trust()) ? 1 : 0);
    const used = diskUsedPct(dataDir);
    if (used !== undefined) alerts.onInternalFigure('gateway_disk_used_pct', used);
    alerts.onInternalFigure('gateway_storage_failing', log.stats.failing ? 1 : 0);
    alerts.onInternalFigure('gateway_wal_mb', walBytes() / 1e6);
    alerts.onInternalFigure(brokenRulesFigure, options.brokenRules);
    alerts.onInternalFigure('gateway_damaged_files', damagedFiles() + log.stats.damagedFrames);
    if (uplink) alerts.onInternalFigure('gateway_backlog_age_s', uplink.stats().backlogAgeS);
  };

  const port: HealthPort = {
    async check() {
      const behind = projector.behind();
      const checks = [
        {
          name: 'log',
          ok: !log.stats.failing,
          detail: logDetail(),
        },
        { name: 'history', ok: behind < behindLimit, detail: `${behind} frames behind the log` },
        { name: 'broker', ok: Object.keys(broker.ports).length > 0, detail: `${broker.stats().clients} clients` },
        // Somebody chose it: no fault, but it is said for as long as it is so.
        ...(plainDevices
          ? [
              {
                name: 'mqtt_plain',
                ok: true,
                detail: `MQTT without TLS is open to the network, for ${plainDevices.length} devices; their passwords and readings travel in the clear`,
              },
            ]
          : []),
        // A clock that nobody set is said by an alert; nothing measured is lost by it.
        { name: 'clock', ok: true, detail: clockDetail() },
        // No link to the cloud is a village's ordinary day, not a fault of the gateway.
        ...(uplink
          ? [{ name: 'uplink', ok: true, detail: uplink.stats().connected ? 'linked' : 'no link; everything is kept' }]
          : []),
        // That people cannot be told is an alert, not a fault of what measures.
        // Anybody may read this: why it fails is for those who are logged in.
        ...(notifier?.numbers() ?? []).map(({ name, failing, sent, signalDbm }) => ({
          name: `notify_${name}`,
          ok: true,
          detail: `${failing ? 'failing' : 'no failure'}; ${sent} sent${signalDbm === null ? '' : `; signal ${signalDbm} dBm`}`,
        })),
      ];
      const status = checks.every((one) => one.ok) ? 'ok' : log.stats.refusing ? 'down' : 'degraded';
      return { status, checks };
    },
    prometheus: () => prometheusText(families()),
  };

  const logDetail = (): string => {
    if (log.stats.refusing) return 'the last commit failed; nothing is acknowledged';
    if (log.stats.failing)
      return `the database cannot be written; commits are acknowledged as long as the journal has room (${log.waitingFrames()} frames are in it alone)`;
    return `${log.newestNumber()} frames`;
  };

  const clockDetail = (): string => {
    const trust = villageClock.trust();
    const offsetS = Math.round(villageClock.offsetMs() / 1000);
    const words = isTrusted(trust) ? sourceWords[trust] : `not trusted: ${sourceWords[trust]}`;
    const offset =
      offsetS === 0 ? '' : `; ${Math.abs(offsetS)} s ${offsetS > 0 ? 'ahead of' : 'behind'} the system's clock`;
    return words + offset + (projector.repairing() ? '; earlier times are being put right' : '');
  };

  const families = (): MetricFamily[] => {
    const stats = broker.stats();
    const counter = (name: string, help: string, values: MetricFamily['values']): MetricFamily => ({
      name: `villagrid_gateway_${name}_total`,
      help,
      type: 'counter',
      values,
    });
    const gauge = (name: string, help: string, values: MetricFamily['values']): MetricFamily => ({
      name: `villagrid_gateway_${name}`,
      help,
      type: 'gauge',
      values,
    });
    const link = uplink?.stats();
    const notifyFamilies = (ways: ReturnType<Notifier['numbers']>): MetricFamily[] => {
      const by = (of: (way: (typeof ways)[number]) => number | null): MetricFamily['values'] => ({
        label: 'channel',
        by: Object.fromEntries(
          ways.flatMap((way): [string, number][] => {
            const value = of(way);
            return value === null ? [] : [[way.name, value]];
          }),
        ),
      });
      return [
        counter(
          'notify_sent',
          'Messages that the far side took, by channel.',
          by(({ sent }) => sent),
        ),
        counter(
          'notify_failed',
          'Messages that did not go out, by channel.',
          by(({ failed }) => failed),
        ),
        gauge(
          'notify_failing',
          '1 while a channel does not work.',
          by(({ failing }) => (failing ? 1 : 0)),
        ),
        gauge(
          'notify_last_sent_seconds',
          'Unix time of the last message.',
          by(({ lastSentMs }) => lastSentMs && lastSentMs / 1000),
        ),
        gauge(
          'notify_signal_dbm',
          'Strength of the mobile network.',
          by(({ signalDbm }) => signalDbm),
        ),
        gauge(
          'notify_balance',
          'Credit, as the operator says it.',
          by(({ balance }) => balance),
        ),
      ];
    };
    return [
      counter('publishes', 'Publishes taken in.', intake.publishes),
      counter('readings', 'Readings taken in, without repeats.', intake.readings),
      counter('samples', 'Samples taken in.', intake.samples),
      counter('repeats', 'Readings that came again and were recognised.', intake.repeats),
      counter('refused', 'Payloads refused, by reason.', { label: 'reason', by: intake.refused }),
      counter('findings', 'Odd metrics in readings, by kind.', { label: 'finding', by: intake.findings }),
      counter('commits', 'Commits of the log.', log.stats.commits),
      counter('failed_commits', 'Commits that failed.', log.stats.failedCommits),
      counter('commit_seconds', 'Time spent in commits.', log.stats.totalCommitMs / 1000),
      counter('frame_bytes', 'Bytes of frames written.', log.stats.bytes),
      gauge('longest_commit_seconds', 'Longest commit since the start.', log.stats.longestCommitMs / 1000),
      gauge('log_newest_number', 'Newest number of the log.', log.newestNumber()),
      gauge('history_behind_frames', 'Frames not yet projected into history.', projector.behind()),
      gauge('clock_trusted', '1 while the time is known.', isTrusted(villageClock.trust()) ? 1 : 0),
      gauge('clock_offset_seconds', "The village's clock minus the system's.", villageClock.offsetMs() / 1000),
      gauge('clock_unanchored_boots', 'Runs whose time is not known.', keeper.unanchoredBoots()),
      gauge('open_alerts', 'Alerts that are active.', alerts.openCount()),
      gauge('event_loop_delay_p99_seconds', 'Delay of the event loop, 99th percentile.', loop.percentile(99) / 1e9),
      gauge('mqtt_clients', 'MQTT clients logged in.', stats.clients),
      gauge('mqtt_plain_lan', '1 while MQTT without TLS is open to the network.', plainDevices ? 1 : 0),
      gauge('mqtt_held', 'Publishes that wait for their commit.', stats.held),
      counter('mqtt_refused', 'What the broker refused, by reason.', {
        label: 'reason',
        by: {
          login: stats.loginsRefused,
          topic: stats.forbidden,
          too_large: stats.oversized,
          not_mqtt: stats.notMqtt,
          too_many: stats.connectionsRefused,
        },
      }),
      ...(notifier ? notifyFamilies(notifier.numbers()) : []),
      ...(link
        ? [
            gauge('uplink_connected', '1 while linked to the cloud.', link.connected ? 1 : 0),
            gauge('uplink_backlog_frames', 'Frames without a receipt.', link.backlogFrames),
            gauge('uplink_backlog_age_seconds', 'Age of the oldest of them.', link.backlogAgeS),
            counter('uplink_envelopes', 'Envelopes sent.', link.sentEnvelopes),
            counter('uplink_bytes', 'Bytes sent.', link.sentBytes),
            counter('uplink_receipts', 'Receipts taken.', link.receipts),
            counter('uplink_resends', 'Times that sending began again without an answer.', link.resends),
          ]
        : []),
    ];
  };

  return {
    port,
    feed,
    part: {
      name: 'health',
      start() {
        loop.enable();
        // At once: this is what people must hear of first.
        leave = log.onTrouble((reason) => {
          if (reason !== undefined) alerts.onInternalFigure('gateway_storage_failing', 1);
        });
        timer = clock.every(figuresEveryMs, feed);
        feed();
      },
      stop() {
        loop.disable();
        leave?.();
        timer?.cancel();
      },
    },
  };
}

/** How full the file system of a folder is, per cent for those who may not use the reserve; undefined when it cannot be told. */
export function diskUsedPct(path: string): number | undefined {
  try {
    const { blocks, bfree, bavail } = statfsSync(path);
    const usable = blocks - bfree + bavail;
    return usable === 0 ? undefined : ((blocks - bfree) / usable) * 100;
  } catch {
    return undefined;
  }
}
