/** Health and numbers of the cloud's process. */
import type { HealthPort } from '@villagrid/api';
import type { Clock } from '@villagrid/contracts';
import type { SqliteDatabase } from '@villagrid/runtime';
import type { DirectStore } from '../direct/store.js';
import type { Directory } from '../directory/directory.js';
import type { Projector } from '../ingest/project.js';
import type { ActStore } from '../stores/act-store.js';
import type { UplinkStore } from '../stores/uplink-store.js';
import type { WindowHistory } from '../stores/window-history.js';
import type { UplinkLine } from '../uplink/port.js';
import type { Presence } from '../uplink/presence.js';
import type { Counters } from './counters.js';

export interface HealthOptions {
  readonly counters: Counters;
  readonly database: SqliteDatabase;
  readonly store: UplinkStore;
  readonly history: Pick<WindowHistory, 'state'>;
  readonly acts: ActStore;
  readonly projector: Projector;
  readonly directory: Directory;
  readonly presence: Presence;
  readonly line: Pick<UplinkLine, 'stats'>;
  readonly direct: Pick<DirectStore, 'missing'>;
  readonly clock: Clock;
  /** A gateway that said nothing for longer is silent, milliseconds of the village's time. */
  readonly silentAfterMs: number;
}

/** Makes the port. */
export function createHealth(options: HealthOptions): HealthPort {
  const { counters, database, store, history, acts, projector, directory, presence, direct, line, clock } = options;
  const newest = database.prepare<[], number | null>('SELECT max(seq) FROM cloud_frame').pluck();
  const lagFrames = () => Math.max(0, (newest.get() ?? 0) - projector.cursor);
  const silent = () =>
    directory.all().filter((gateway) => {
      const heardMs = presence.heardMs(gateway);
      return heardMs === null || clock.nowMs() - heardMs > options.silentAfterMs;
    });
  let deadLetters = 0;

  return {
    async check() {
      const names = silent().map((gateway) => gateway.gateway_id);
      deadLetters = await store.deadLetterCount();
      const lag = lagFrames();
      const storeWorks = worksNow(database);
      const kept = history.state();
      const checks = [
        { name: 'store', ok: storeWorks, detail: storeWorks ? 'the database answers' : 'the database does not answer' },
        {
          name: 'projection',
          ok: lag < 1000,
          detail: lag === 0 ? 'everything archived is shown' : `${lag} frames wait to be shown`,
        },
        { name: 'history', ok: kept.ok, detail: kept.detail },
        {
          name: 'gateways',
          ok: names.length === 0,
          detail:
            `${presence.connectedCount()} of ${directory.all().length} connected` +
            (names.length > 0 ? `; silent: ${names.slice(0, 10).join(', ')}` : ''),
        },
        {
          name: 'broker',
          ok: line.stats().isUp,
          detail: line.stats().isUp ? 'messages can come' : 'no link to the broker',
        },
        {
          name: 'dead letters',
          ok: deadLetters === 0,
          detail: deadLetters === 0 ? 'none' : `${deadLetters} messages or parts were refused and are kept`,
        },
      ];
      return { status: !storeWorks ? 'down' : checks.every(({ ok }) => ok) ? 'ok' : 'degraded', checks };
    },

    prometheus() {
      const { clients, published, failed, forbidden, loginsRefused, oversized } = line.stats();
      const kept = history.state();
      const lines: Array<readonly [name: string, type: 'counter' | 'gauge', help: string, value: number]> = [
        ['envelopes_total', 'counter', 'Envelopes accepted', counters.envelopes],
        ['envelopes_refused_total', 'counter', 'Envelopes that could not be decoded', counters.envelopesRefused],
        ['frames_total', 'counter', 'Frames new in the archive', counters.framesAdded],
        ['frames_repeated_total', 'counter', 'Frames that came again', counters.framesRepeated],
        ['frames_bad_total', 'counter', 'Frames refused for good', counters.framesBad],
        ['frame_conflicts_total', 'counter', 'Log numbers that came with other content', counters.conflicts],
        ['commits_total', 'counter', 'Commits of the archive', counters.commits],
        ['receipts_total', 'counter', 'Receipts sent', counters.receipts],
        ['frames_projected_total', 'counter', 'Frames projected', counters.framesProjected],
        ['samples_total', 'counter', 'Samples projected', counters.samplesProjected],
        ['projection_failures_total', 'counter', 'Failed tries of the projection', counters.projectionFailures],
        ['projection_lag_frames', 'gauge', 'Archived frames not yet projected', lagFrames()],
        ['history_up', 'gauge', 'Whether the store of history takes what it is sent', kept.ok ? 1 : 0],
        ['history_waiting_windows', 'gauge', 'Windows not yet in the store of history', kept.waiting],
        ['history_refused_total', 'counter', 'Points the store of history refused for good', kept.refused],
        ['alert_events_total', 'counter', 'Alert events new here', counters.alertEvents],
        ['acts_sent_total', 'counter', 'Acts of people sent down', counters.actsSent],
        ['acts_waiting', 'gauge', 'Acts of people their gateway has not confirmed', acts.waitingCount()],
        ['hellos_total', 'counter', 'HELLOs of gateways', counters.hellos],
        ['device_readings_total', 'counter', 'Readings of devices without a gateway', counters.deviceReadings],
        ['device_refused_total', 'counter', 'Messages of such devices refused', counters.deviceRefused],
        ['device_odd_values_total', 'counter', 'Odd values of such devices', sum(counters.deviceFindings)],
        ['device_readings_missing', 'gauge', 'Readings of such devices that did not come', direct.missing()],
        ['dead_letters', 'gauge', 'Refused messages and parts that are kept', deadLetters],
        ['gateways', 'gauge', 'Gateways registered', directory.all().length],
        ['gateways_connected', 'gauge', 'Gateways connected', presence.connectedCount()],
        ['gateways_silent', 'gauge', 'Gateways not heard for too long', silent().length],
        ['mqtt_clients', 'gauge', 'MQTT clients connected', clients],
        ['mqtt_published_total', 'counter', 'Publishes received', published],
        ['mqtt_failed_total', 'counter', 'Publishes not acknowledged', failed],
        ['mqtt_forbidden_total', 'counter', 'Publishes and subscriptions refused', forbidden],
        ['mqtt_logins_refused_total', 'counter', 'Connections refused', loginsRefused],
        ['mqtt_oversized_total', 'counter', 'Packets above the limit', oversized],
      ];
      return lines
        .map(([name, type, help, value]) => {
          const full = `villagrid_cloud_${name}`;
          return `# HELP ${full} ${help}\n# TYPE ${full} ${type}\n${full} ${value}\n`;
        })
        .join('');
    },
  };
}

const sum = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((all, one) => all + one, 0);

function worksNow(database: SqliteDatabase): boolean {
  try {
    database.prepare('SELECT 1').get();
    return true;
  } catch {
    return false;
  }
}
