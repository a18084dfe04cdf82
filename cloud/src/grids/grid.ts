/** One grid as the API sees it, over the cloud's stores. */
import type { CompletenessFacts, GatewayFacts, GridPort } from '@villagrid/api';
import {
  defaultLimits,
  defaultRules,
  gatewayOnlyEvents,
  ruleOfChange,
  VillagridError,
  type AlertEvent,
  type Clock,
  type ManifestProof,
  type Plant,
  type Rule,
  type RuleLimits,
  type Site,
  type SiteDevice,
  type TimeSpan,
  type WireTerm,
} from '@villagrid/contracts';
import {
  frameSamples,
  nextTurn,
  type AlertStore,
  type ClockLedger,
  type FrameReader,
  type SqliteDatabase,
  type TelemetryStore,
} from '@villagrid/runtime';
import type { DirectDevice } from '../config/schema.js';
import type { GridEntry } from '../directory/directory.js';
import type { DirectIntake } from '../direct/intake.js';
import type { Commands } from '../downlink/commands.js';
import type { Documents } from '../downlink/documents.js';
import type { Downlink } from '../downlink/downlink.js';
import type { Projector } from '../ingest/project.js';
import type { ActStore } from '../stores/act-store.js';
import type { GatewayStore } from '../stores/gateway-store.js';
import type { LinkStore } from '../stores/link-store.js';
import type { SqliteUplinkStore } from '../stores/sqlite-uplink-store.js';
import type { WindowHistory } from '../stores/window-history.js';
import type { Presence } from '../uplink/presence.js';
import { proofOf } from '../receipts/proof.js';
import type { Kept } from '../retention/policy.js';
import { bandsOf } from './bands.js';
import type { LiveBus } from './live.js';
import { Snapshot } from './snapshot.js';
import type { Projected } from '../ingest/project.js';

/** What all grids share. */
export interface GridServices {
  readonly cloudId: string;
  readonly database: SqliteDatabase;
  readonly store: SqliteUplinkStore;
  readonly telemetry: TelemetryStore;
  readonly history: Pick<WindowHistory, 'windows'>;
  readonly frames: FrameReader;
  readonly ledger: ClockLedger;
  readonly alerts: AlertStore;
  readonly acts: ActStore;
  readonly links: LinkStore;
  readonly gateways: GatewayStore;
  readonly presence: Presence;
  /** When devices without a gateway were heard. */
  readonly direct: Pick<DirectIntake, 'link' | 'heardMs'>;
  readonly downlink: Downlink;
  readonly documents: Documents;
  readonly commands: Commands;
  readonly projector: Pick<Projector, 'behind'>;
  readonly live: LiveBus;
  readonly clock: Clock;
  readonly manifestOf: (gridId: string, day: TimeSpan) => ManifestProof | undefined;
  /** Days that were found to differ from what the gateway says of them. */
  readonly differingDays: (gridId: string) => number;
  readonly kept: (organisation: string | undefined) => Kept;
  /** Somebody begins to watch live values of a grid, or the last one stopped. */
  readonly onWatched: (gridId: string, on: boolean) => void;
}

/** A grid with what the rest of the cloud tells it. */
export interface CloudGrid extends GridPort {
  /** Who speaks for it, as the directory has it. */
  readonly entry: GridEntry;
  /** Its site document changed. */
  siteChanged(): void;
  /** Frames of it were projected. */
  projected(changed: Projected): void;
  /** Its gateway came or went. */
  presenceChanged(): void;
}

/** A grid whose gateway has not said HELLO yet, or that has none. */
function emptySite({ grid_id, gateway_id, name, organisation_id, own }: GridEntry): Site {
  const plant: Plant = own?.plant ?? { battery_floor_pct: 20, has_genset: false, has_mains: false };
  return {
    grid_id,
    gateway_id,
    ...(organisation_id === undefined ? {} : { organisation_id }),
    name: name ?? grid_id,
    zone: own?.zone ?? 'UTC',
    ...(own?.location === undefined ? {} : { location: own.location }),
    plant,
    devices: [],
    wiring: {},
  };
}

/** A device of the directory as a site names it. */
const siteDevice = ({ device_id, name, grid_id: _grid, figures: _figures, ...more }: DirectDevice): SiteDevice => ({
  ...more,
  device_id,
  name: name ?? device_id,
  protocol: 'mqtt',
});

/** A site with the devices that publish here themselves. What the gateway says of a device or a figure wins. */
function withDevices(site: Site, devices: readonly DirectDevice[]): Site {
  const known = new Set(site.devices.map(({ device_id }) => device_id));
  const added = devices.filter(({ device_id }) => !known.has(device_id));
  if (added.length === 0) return site;
  const terms = new Map<string, WireTerm[]>();
  for (const { device_id, figures = {} } of added)
    for (const [figure, metric] of Object.entries(figures))
      terms.set(figure, [...(terms.get(figure) ?? []), { device_id, metric, factor: 1 }]);
  const wires = Object.fromEntries([...terms].map(([figure, all]) => [figure, { terms: all }]));
  return {
    ...site,
    devices: [...site.devices, ...added.map(siteDevice)],
    wiring: { ...wires, ...site.wiring },
  };
}

/** The site as the cloud shows it: the gateway owns it; the organisation, and devices without a gateway, are the directory's word. */
export function siteOf(entry: GridEntry, devices: readonly DirectDevice[], gateways: GatewayStore): Site {
  const told = entry.own === undefined ? gateways.get(entry.gateway_id, entry.grid_id)?.site : undefined;
  const { organisation_id } = entry;
  const site = told && organisation_id !== undefined ? { ...told, organisation_id } : told;
  return withDevices(site ?? emptySite(entry), devices);
}

const newest = (times: ReadonlyArray<number | null>): number | null =>
  times.reduce((best, one) => (one !== null && (best === null || one > best) ? one : best), null);

/** The rules as documents have them that the gateway took: what its settings change beyond that is not known here. */
function rulesOf(site: Site, documents: Documents): readonly Rule[] {
  const limits = documents.inForce(site.grid_id, 'limits') as Partial<RuleLimits>;
  const defaults = defaultRules({ ...defaultLimits(site.plant), ...limits }, site);
  const byId = new Map(defaults.map((rule) => [rule.id, rule]));
  for (const change of Object.values(documents.inForce(site.grid_id, 'rules'))) {
    const made = ruleOfChange(change, { site, defaults });
    if (made.ok) byId.set(made.rule.id, made.rule);
  }
  return [...byId.values()];
}

/** Makes the port of one grid. */
export function createGrid(
  gateway: GridEntry,
  directDevices: readonly DirectDevice[],
  services: GridServices,
): CloudGrid {
  const { database, store, telemetry, alerts, acts, links, gateways, presence, downlink, live, clock } = services;
  const gridId = gateway.grid_id;
  const direct = new Set(directDevices.map(({ device_id }) => device_id));
  let site: Site | undefined;
  let bands: ReturnType<typeof bandsOf> | undefined;
  let rules: readonly Rule[] | undefined;
  let snapshot: Snapshot | undefined;
  const currentSite = (): Site => (site ??= siteOf(gateway, directDevices, gateways));
  const currentRules = (): readonly Rule[] => (rules ??= rulesOf(currentSite(), services.documents));
  const currentSnapshot = (): Snapshot => (snapshot ??= new Snapshot(telemetry.latest(gridId), clock));

  /** Planned work and hand-over notes are no alerts: they are part of the grid's own page. */
  const tellOfEvent = (alertId: string): void =>
    live.tell(gridId, alerts.get(alertId) === undefined ? { type: 'site' } : { type: 'alert', alertId });

  const kept = (): Kept => services.kept(gateway.organisation_id);
  const hourMs = 3_600_000;

  const completeness = (askedMs: number): CompletenessFacts => {
    // Of an hour whose samples are gone only the whole is known.
    const wholeMs = Math.floor(askedMs / hourMs) * hourMs;
    const untilMs = store.hasRemovedBetween(gridId, wholeMs, askedMs) ? wholeMs : askedMs;
    const end = untilMs === askedMs ? {} : { untilMs };
    const epoch = gateways.get(gateway.gateway_id, gridId)?.epoch ?? null;
    const series = telemetry.completeness(gridId, untilMs);
    if (epoch === null) return { epoch, completeUntilNumber: null, series, ...end };
    // What is archived is proven; while the projection is behind, what is counted here is less.
    const upTo = store.receipt(gateway.gateway_id, epoch).up_to;
    const counted = services.projector.behind ? Math.min(upTo, telemetry.cursor(gateway.gateway_id, epoch)) : upTo;
    // While times are being put right, what lies before that place is as it will stay.
    const repair = services.ledger.pending(gridId);
    const settled = repair === undefined ? counted : Math.min(counted, repair.nextNumber - 1);
    return { epoch, completeUntilNumber: settled, series, ...end };
  };

  /** Where the log was complete, and the time found for it. */
  let complete: { readonly key: string; readonly untilMs: number | null } | undefined;
  const gatewayFacts = (): GatewayFacts => {
    const known = gateways.get(gateway.gateway_id, gridId);
    const epoch = known?.epoch ?? null;
    const progress = epoch === null ? undefined : store.progress(gateway.gateway_id, epoch);
    const key = `${epoch} ${progress?.explainedUpTo}`;
    if (complete?.key !== key) {
      const next = (progress?.explainedUpTo ?? 0) + 1;
      const untilMs = epoch === null ? null : store.timesAround(gateway.gateway_id, epoch, [next, next]).beforeMs;
      complete = { key, untilMs };
    }
    return {
      gatewayId: gateway.gateway_id,
      version: known?.version ?? null,
      clockTrust: known?.clockTrust ?? null,
      helloMs: known?.helloMs ?? null,
      diskUsedPct: known?.diskUsedPct ?? null,
      cardLifeUsedPct: known?.cardLifeUsedPct ?? null,
      backlogFrames: progress?.missing ?? 0,
      completeUntilMs: complete.untilMs,
      differingDays: services.differingDays(gridId),
    };
  };

  return {
    gridId,
    gateway: gatewayFacts,
    entry: gateway,
    origin: { kind: 'cloud', id: services.cloudId },
    site: currentSite,
    latest: (deviceId, metric) => currentSnapshot().get(deviceId, metric),
    metricsOf: (deviceId) => currentSnapshot().metricsOf(deviceId),
    link(deviceId) {
      const gatewayState = presence.state(gateway);
      if (deviceId === gateway.gateway_id) return gatewayState;
      if (direct.has(deviceId)) return services.direct.link(deviceId);
      const state = links.get(gridId, deviceId);
      if (state === 'offline') return 'down';
      // While the gateway is away nobody vouches for a link that was up.
      return state === 'online' && gatewayState === 'up' ? 'up' : undefined;
    },
    lastReportedMs: () => newest([presence.heardMs(gateway), ...[...direct].map((id) => services.direct.heardMs(id))]),
    windows: (deviceId, metric, resolution, fromMs, toMs) =>
      services.history.windows(gridId, deviceId, metric, resolution, fromMs, toMs),
    raw: async (deviceId, metric, fromMs, toMs) => telemetry.raw(gridId, deviceId, metric, fromMs, toMs),
    async samples(series, fromMs, toMs) {
      const steps = frameSamples(services.frames, gridId, series, fromMs, toMs);
      for (;;) {
        await nextTurn();
        const step = steps.next();
        if (step.done === true) return step.value;
      }
    },
    kept,
    completeness: async (untilMs) => completeness(untilMs),
    proof: async (days) => proofOf(store, gateway, days, (day) => services.manifestOf(gridId, day)),
    alerts: async (query) => alerts.list(gridId, query),
    async alert(alertId) {
      const alert = alerts.get(alertId);
      return alert?.grid_id === gridId ? alert : undefined;
    },
    records: async () => alerts.records(gridId),
    async append(event: AlertEvent) {
      if (event.grid_id !== gridId || gatewayOnlyEvents.includes(event.kind))
        throw new VillagridError(
          'E_REQUEST_INVALID',
          `an event ${event.kind} of grid ${event.grid_id} is not born here`,
        );
      const outcome = database
        .transaction(() => {
          const added = alerts.append(event);
          // Without a gateway there is nobody else who must learn of it.
          if (added === 'added' && gateway.own === undefined) acts.add(event, clock.nowMs());
          return added;
        })
        .immediate();
      if (outcome === 'known') return;
      tellOfEvent(event.alert_id);
      if (gateway.own === undefined) downlink.sendActs(gateway, [event]);
    },
    subscribe: (listener) => live.subscribe(gridId, listener),
    watched: (on) => services.onWatched(gridId, on),
    desired: services.documents.portOf(gateway),
    commands: services.commands.portOf(gateway),
    rules: currentRules,
    limits: () => (bands ??= bandsOf(currentRules())),

    siteChanged() {
      site = undefined;
      bands = undefined;
      rules = undefined;
      live.tell(gridId, { type: 'site' });
    },
    projected({ samples, alertIds, deviceIds, restamped }) {
      if (restamped) {
        snapshot = undefined;
        live.tell(gridId, { type: 'site' });
      }
      const series = currentSnapshot().take(samples);
      if (series.length > 0) live.tell(gridId, { type: 'samples', series });
      for (const alertId of alertIds) tellOfEvent(alertId);
      for (const deviceId of deviceIds) live.tell(gridId, { type: 'device', deviceId });
    },
    presenceChanged: () => live.tell(gridId, { type: 'device', deviceId: gateway.gateway_id }),
  };
}
