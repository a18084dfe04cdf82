/** Compares days with what gateways say of them, and tells of those that differ. */
import type { Clock, ManifestProof, TimeSpan, Timer } from '@villagrid/contracts';
import { nextTurn, type ClockLedger, type LifecyclePart, type Logger } from '@villagrid/runtime';
import type { Projector } from '../ingest/project.js';
import type { KeptManifest, ManifestStore } from '../stores/manifest-store.js';
import type { SqliteUplinkStore } from '../stores/sqlite-uplink-store.js';
import type { ProjectedTelemetry } from '../stores/telemetry.js';
import { compareDay } from './manifest.js';

const hourMs = 3_600_000;
const lookEveryMs = 60_000;
/** Open days compared with one look, and how long until a difference is told again. */
const daysPerLook = 200;
const tellAgainMs = 6 * hourMs;

export interface ManifestCheckOptions {
  readonly manifests: ManifestStore;
  readonly store: Pick<SqliteUplinkStore, 'logs' | 'receipt'>;
  readonly telemetry: Pick<ProjectedTelemetry, 'digests'>;
  readonly projector: Pick<Projector, 'behind'>;
  readonly ledger: Pick<ClockLedger, 'pending'>;
  readonly clock: Clock;
  readonly realClock: Clock;
  readonly log: Logger;
}

export interface ManifestCheck extends LifecyclePart {
  /** Compares what was not found equal yet. */
  look(): Promise<void>;
  /** Days of a grid that the last look found to differ. */
  differingDays(gridId: string): number;
  /** What the gateway of a grid says of a day, and whether the same is here; undefined when it said nothing. */
  proofOf(gridId: string, day: TimeSpan): ManifestProof | undefined;
}

/** Makes it. */
export function createManifestCheck(options: ManifestCheckOptions): ManifestCheck {
  const { manifests, store, telemetry, projector, ledger, clock, realClock, log } = options;
  let differing = new Map<string, number>();
  let timer: Timer | undefined;
  let running: Promise<void> | undefined;

  const judge = (one: KeptManifest): ManifestProof => {
    const told = { told_until_number: one.up_to };
    if (one.series === null)
      return {
        ...told,
        state: 'equal',
        samples: one.samples,
        samples_here: one.samples,
        differing_count: 0,
        differing: [],
      };
    const explained = store.receipt(one.gatewayId, one.epoch).up_to >= Math.max(one.up_to, one.number);
    const settled = explained && !projector.behind && ledger.pending(one.gridId) === undefined;
    return { ...told, ...compareDay(one.series, telemetry.digests(one.gridId, one.from_ms, one.to_ms), settled) };
  };

  const tellOf = (one: KeptManifest, proof: ManifestProof): void => {
    const nowMs = clock.nowMs();
    if (one.askedMs !== null && nowMs - one.askedMs < tellAgainMs) return;
    manifests.setAsked(one, nowMs);
    const found = store.logs(one.gatewayId).find(({ epoch }) => epoch === one.epoch);
    const unusable = [
      ...(found?.givenUp ?? []),
      ...(found?.refused ?? []).map(({ number }) => [number, number] as const),
    ];
    const facts = { grid_id: one.gridId, from_ms: one.from_ms, samples: proof.samples, here: proof.samples_here };
    if (unusable.length === 0) {
      log.error('a day differs from what its gateway says of it, although every frame is here', facts);
      return;
    }
    log.warn('a day differs from what its gateway says of it; some of its frames cannot be used', facts);
  };

  const look = async (): Promise<void> => {
    const found = new Map<string, number>();
    for (const one of manifests.open(daysPerLook)) {
      const proof = judge(one);
      if (proof.state === 'equal') manifests.setEqual(one, clock.nowMs());
      else if (proof.state === 'differs') {
        found.set(one.gridId, (found.get(one.gridId) ?? 0) + 1);
        tellOf(one, proof);
      }
      await nextTurn();
    }
    differing = found;
  };
  const lookOnce = (): Promise<void> => {
    running ??= look().finally(() => (running = undefined));
    return running;
  };

  return {
    name: 'comparison of days',
    look: lookOnce,
    differingDays: (gridId) => differing.get(gridId) ?? 0,
    proofOf(gridId, { fromMs }) {
      // A manifest's day begins with the hour in which the local day begins.
      const [one] = manifests.between(gridId, fromMs - hourMs + 1, fromMs + 1);
      return one && judge(one);
    },
    start() {
      timer = realClock.every(lookEveryMs, () => {
        lookOnce().catch((error: unknown) => log.error('days could not be compared; it is tried again', { error }));
      });
    },
    async stop() {
      timer?.cancel();
      await running?.catch(() => {});
    },
  };
}
