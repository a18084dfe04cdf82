/** Whether the gateway is well, its numbers for monitoring, and the figures of the gateway itself that rules watch. */
import { statfsSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { HealthPort } from '@villagrid/api';
import type { Clock, ClockTrust, Timer } from '@villagrid/contracts';
import type { GuardedBroker, LifecyclePart } from '@villagrid/runtime';
import type { Alerts } from '../alerts/alerts.js';
import type { IntakeCounters } from '../intake/intake.js';
import type { DurableLog } from '../log/log.js';
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
  readonly damagedFiles: () => number;
  readonly intake: IntakeCounters;
  readonly broker: GuardedBroker;
  readonly projector: Projector;
  readonly alerts: Alerts;
  readonly uplink: Uplink | undefined;
  readonly clockTrust: () => ClockTrust;
  readonly clock: Clock;
}

/** Health as the API sees it, and as a part that feeds the gateway's own figures to the rules. */
export function createHealth(options: HealthOptions): { readonly port: HealthPort; readonly part: LifecyclePart } {
  const { dataDir, log, intake, broker, projector, alerts, uplink, clockTrust, clock, walBytes, damagedFiles } =
    options;
  const loop = monitorEventLoopDelay({ resolution: 20 });
  let timer: Timer | undefined;
  let leave: (() => void) | undefined;

  const feed = (): void => {
    const trust = clockTrust();
    alerts.onInternalFigure('gateway_clock_trust', trust === 'floor' || trust === 'none' ? 0 : 1);
    const used = diskUsedPct(dataDir);
    if (used !== undefined) alerts.onInternalFigure('gateway_disk_used_pct', used);
    alerts.onInternalFigure('gateway_storage_failing', log.stats.failing ? 1 : 0);
    alerts.onInternalFigure('gateway_wal_mb', walBytes() / 1e6);
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
          detail: log.stats.failing
            ? 'the last commit failed; nothing is acknowledged'
            : `${log.newestNumber()} frames`,
        },
        { name: 'history', ok: behind < behindLimit, detail: `${behind} frames behind the log` },
        { name: 'broker', ok: Object.keys(broker.ports).length > 0, detail: `${broker.stats().clients} clients` },
        // No link to the cloud is a village's ordinary day, not a fault of the gateway.
        ...(uplink
          ? [{ name: 'uplink', ok: true, detail: uplink.stats().connected ? 'linked' : 'no link; everything is kept' }]
          : []),
      ];
      const status = checks.every((one) => one.ok) ? 'ok' : log.stats.failing ? 'down' : 'degraded';
      return { status, checks };
    },
    prometheus: () => prometheusText(families()),
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
      gauge('open_alerts', 'Alerts that are active.', alerts.openCount()),
      gauge('event_loop_delay_p99_seconds', 'Delay of the event loop, 99th percentile.', loop.percentile(99) / 1e9),
      gauge('mqtt_clients', 'MQTT clients logged in.', stats.clients),
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
