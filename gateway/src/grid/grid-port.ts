/** The gateway's grid as the API sees it. */
import type { CommandPort, CompletenessFacts, DesiredPort, GridPort, GridsPort } from '@villagrid/api';
import type { DeviceLink, RuleLimits, SeriesSamples, Site, UplinkStatus } from '@villagrid/contracts';
import { nextTurn } from '@villagrid/runtime';
import type { Alerts } from '../alerts/alerts.js';
import type { Live } from '../live/live.js';
import type { DurableLog } from '../log/log.js';
import type { AlertReads } from '../log/overlaid-alerts.js';
import type { Projector } from '../project/projector.js';
import type { HistoryStore } from '../store/store.js';
import type { UplinkStats } from '../uplink/index.js';

export interface GridPortOptions {
  readonly site: Site;
  /** The village's time. */
  readonly nowMs: () => number;
  readonly live: Live;
  /** How a device that is asked answers. */
  readonly quality: (deviceId: string) => DeviceLink | undefined;
  readonly log: DurableLog;
  readonly alerts: Alerts;
  readonly telemetry: HistoryStore;
  readonly projector: Projector;
  readonly commands: CommandPort;
  readonly desired: DesiredPort;
  /** Undefined without an uplink. */
  readonly uplink: () => UplinkStats | undefined;
}

/** Makes the one grid of a gateway. */
export function createGridPort(options: GridPortOptions): GridPort {
  const { site, live, quality, log, alerts, telemetry, projector, commands } = options;
  const gridId = site.grid_id;
  let bands: { readonly of: RuleLimits; readonly value: ReturnType<typeof figureBands> } | undefined;
  return {
    gridId,
    site: () => site,
    latest: live.latest,
    metricsOf: (deviceId) => live.metricsOf(deviceId),
    link: (deviceId) => live.link(deviceId),
    linkQuality: quality,
    lastReportedMs: () => live.lastReportedMs(),
    async windows(deviceId, metric, resolution, fromMs, toMs) {
      await projector.catchUp();
      return telemetry.windows(gridId, deviceId, metric, resolution, fromMs, toMs);
    },
    async raw(deviceId, metric, fromMs, toMs) {
      await projector.catchUp();
      return telemetry.raw(gridId, deviceId, metric, fromMs, toMs);
    },
    async samples(series, fromMs, toMs) {
      await projector.catchUp();
      const found: SeriesSamples[] = [];
      for (const { deviceId, metric } of series) {
        await nextTurn();
        found.push({ deviceId, metric, ...telemetry.samples(gridId, deviceId, metric, fromMs, toMs) });
      }
      return found;
    },
    async completeness(untilMs): Promise<CompletenessFacts> {
      await projector.settle();
      await telemetry.readyCompleteness(gridId, untilMs);
      await projector.catchUp();
      // Without a wait in between: both speak of the same frames.
      const series = telemetry.completeness(gridId, untilMs);
      return { epoch: log.epoch, completeUntilNumber: log.newestNumber() - projector.behind(), series };
    },
    alerts: async (query) => alerts.shown.list(gridId, query),
    alert: async (alertId) => alerts.shown.get(alertId),
    records: async () => alerts.shown.records(gridId),
    append: (event) => alerts.append(event),
    origin: alerts.origin,
    subscribe: (listener) => live.subscribe(listener),
    commands: { request: (asked) => commands.request(asked), list: () => commands.list() },
    uplink() {
      const stats = options.uplink();
      return stats && uplinkStatus(stats, options.nowMs());
    },
    desired: options.desired,
    rules: () => alerts.rules,
    limits() {
      const of = alerts.limits;
      if (bands?.of !== of) bands = { of, value: figureBands(of) };
      return bands.value;
    },
  };
}

/** The link to the cloud in the words of the API. */
function uplinkStatus(stats: UplinkStats, nowMs: number): UplinkStatus {
  return {
    connected: stats.connected,
    plan: stats.plan === 'boost' ? 'full' : stats.plan,
    boosted: stats.boosted,
    waiting_frames: stats.backlogFrames,
    waiting_since_ms: stats.backlogFrames > 0 ? Math.round(nowMs - stats.backlogAgeS * 1000) : null,
    held: stats.held,
    complete_at_ms: stats.completeAtMs === null ? null : Math.round(stats.completeAtMs),
    day: stats.day,
    used_bytes: stats.dayBytes,
    budget_bytes: stats.dayBudgetBytes,
  };
}

/** The grids of a gateway: its own one. */
export function createGridsPort(grid: GridPort, alerts: AlertReads): GridsPort {
  return {
    list: () => [grid],
    get: (gridId) => (gridId === grid.gridId ? grid : undefined),
    gridOfAlert: async (alertId) => alerts.gridOfAlert(alertId),
  };
}

/** Normal bands of figures, as the default rules judge them. */
export function figureBands(limits: RuleLimits): Readonly<Record<string, { low?: number; high?: number }>> {
  return {
    consumption_kw: { high: limits.consumption_high_kw },
    equipment_temp_c: { high: limits.equipment_temp_high_c },
    battery_soc_pct: { low: limits.battery_low_pct },
    ac_output_voltage_v: {
      low: Math.round(limits.ac_voltage_nominal_v * 0.85),
      high: Math.round(limits.ac_voltage_nominal_v * 1.1),
    },
    ac_frequency_hz: { low: limits.ac_frequency_nominal_hz - 2, high: limits.ac_frequency_nominal_hz + 2.5 },
  };
}
