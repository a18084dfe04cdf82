/**
 * When a reading was measured, never after it arrived: shared by who takes readings, a gateway or the cloud. While the
 * taker's own clock is not trusted it cannot judge a node's: then everything is dated by arrival and age, so that one correction of the gateway's clock puts all of it right.
 * Otherwise a node's own clock is believed when plausible; else the milliseconds since its boot
 * are anchored: the smallest (arrival - up) seen of a boot is when it booted, because a message is never early.
 */
import { isTrusted, type ClockTrust } from '../ports/clock.js';
import { qualityCodes, type QualityCode } from '../quality/quality.js';
import type { Reading } from './telemetry.js';

/** How far a node's clock may be ahead of the gateway's without doubt, and how old a kept reading may be, milliseconds. */
export const maxAheadMs = 60_000;
export const maxAgeMs = 90 * 86_400_000;
/** No reading of ours is older: 2020-01-01. */
export const earliestMs = 1_577_836_800_000;
/** A single reading sent at once cannot be older than this, milliseconds: its `up` is wrong then. */
const maxLiveAgeMs = 600_000;
/** A node's oscillator may be this much slower than ours: the anchor follows. */
const driftShare = 2e-4;
const maxBoots = 4;

/** What a reading tells of its time. */
export type Stamps = Omit<Reading, 'values'>;

/** When something arrived, by both of the gateway's clocks. */
export interface Arrival {
  readonly nowMs: number;
  readonly monotonicMs: number;
  /** How far the gateway's wall clock is trusted then. */
  readonly trust: ClockTrust;
}

/** Time of a reading and what it does to the quality of good values. */
export interface Dated {
  readonly timeMs: number;
  readonly quality: QualityCode;
  /** Whether the time is the gateway's own, so that it moves when that clock proves to have been wrong. */
  readonly byGateway: boolean;
}

interface Anchor {
  /** Monotonic time of the node's boot, milliseconds. */
  bootMs: number;
  lastUpMs: number;
  lastSeq: number;
  /** Monotonic time of the newest arrival. */
  atMs: number;
}

/** Dates the readings of all nodes. */
export class Dating {
  readonly #anchors = new Map<string, Map<string, Anchor>>();

  /** Dates the readings of one publish, in their order. `resent` tells that the node kept them (form `readings`). */
  date(deviceId: string, readings: readonly Reading[], resent: boolean, arrival: Arrival): Dated[] {
    // The newest reading of a publish left at once: it tells most about the boot, so all are seen before any is dated.
    for (const reading of readings) this.#see(deviceId, reading, arrival);
    return readings.map((reading) => this.#dateOne(deviceId, reading, resent, arrival));
  }

  /** Dates a single reading that was sent at once. */
  dateOne(deviceId: string, reading: Stamps, arrival: Arrival): Dated {
    this.#see(deviceId, reading, arrival);
    return this.#dateOne(deviceId, reading, false, arrival);
  }

  /** Anchors as wall times of boots, for the time after a restart of the gateway. */
  exportState(arrival: Arrival): string {
    const wall = (monotonicMs: number) => Math.round(arrival.nowMs - (arrival.monotonicMs - monotonicMs));
    return JSON.stringify(
      [...this.#anchors].map(([deviceId, boots]) => [
        deviceId,
        [...boots].map(([boot, anchor]) => [boot, wall(anchor.bootMs), anchor.lastUpMs, anchor.lastSeq]),
      ]),
    );
  }

  /** Takes back an `exportState`. */
  importState(text: string, arrival: Arrival): void {
    // Kept as wall times: without a right time now they would tell wrong ages. What arrives soon gives the anchors anew.
    if (!isTrusted(arrival.trust)) return;
    const saved = JSON.parse(text) as [string, [string, number, number, number][]][];
    for (const [deviceId, boots] of saved) {
      const anchors = new Map<string, Anchor>();
      for (const [boot, bootWallMs, lastUpMs, lastSeq] of boots) {
        const bootMs = arrival.monotonicMs - (arrival.nowMs - bootWallMs);
        anchors.set(boot, { bootMs, lastUpMs, lastSeq, atMs: arrival.monotonicMs });
      }
      this.#anchors.set(deviceId, anchors);
    }
  }

  #see(deviceId: string, reading: Stamps, { monotonicMs, trust }: Arrival): void {
    const { seq = 0 } = reading;
    const { name, upMs } = stopwatch(reading, trust);
    if (upMs === undefined) return;
    let boots = this.#anchors.get(deviceId);
    if (!boots) this.#anchors.set(deviceId, (boots = new Map()));
    const bootMs = monotonicMs - upMs;
    const anchor = boots.get(name);
    if (!anchor) {
      boots.set(name, { bootMs, lastUpMs: upMs, lastSeq: seq, atMs: monotonicMs });
      for (const oldest of boots.keys()) if (boots.size > maxBoots) boots.delete(oldest);
      return;
    }
    const drift = (monotonicMs - anchor.atMs) * driftShare;
    anchor.bootMs = Math.min(bootMs, anchor.bootMs + Math.max(0, drift));
    anchor.atMs = monotonicMs;
  }

  #dateOne(deviceId: string, reading: Stamps, resent: boolean, arrival: Arrival): Dated {
    const { timeMs: told } = reading;
    const { nowMs, monotonicMs, trust } = arrival;
    const { name, upMs } = stopwatch(reading, trust);
    // Nothing is measured after it arrived: a time ahead would outlive every later reading on screens and in rules.
    const plausible =
      isTrusted(trust) && told !== undefined && told <= nowMs && told >= earliestMs && told >= nowMs - maxAgeMs;
    if (plausible) return { timeMs: told, quality: qualityCodes.good, byGateway: false };
    const slightlyAhead = told !== undefined && told > nowMs && told <= nowMs + maxAheadMs;
    const known =
      told === undefined || slightlyAhead || !isTrusted(trust) ? qualityCodes.good : qualityCodes.uncertain_clock;
    const anchor = upMs === undefined ? undefined : this.#anchors.get(deviceId)?.get(name);
    if (upMs === undefined || anchor === undefined) {
      // A reading that was kept for an unknown time is not from now.
      const quality = resent ? qualityCodes.uncertain_clock : known;
      return { timeMs: Math.round(nowMs), quality, byGateway: true };
    }
    const seq = reading.seq ?? anchor.lastSeq;
    const stuck = seq > anchor.lastSeq && upMs <= anchor.lastUpMs;
    if (seq >= anchor.lastSeq) {
      anchor.lastSeq = seq;
      anchor.lastUpMs = upMs;
    }
    const ageMs = Math.max(0, monotonicMs - (anchor.bootMs + upMs));
    if (stuck || (!resent && ageMs > maxLiveAgeMs)) {
      anchor.bootMs = monotonicMs - upMs;
      return { timeMs: Math.round(nowMs), quality: qualityCodes.uncertain_clock, byGateway: true };
    }
    return { timeMs: Math.round(nowMs - ageMs), quality: known, byGateway: true };
  }
}

/** What tells a reading's age: the time since the node's boot, or its wall clock while ours cannot judge that. */
function stopwatch({ boot = '', upMs, timeMs }: Stamps, trust: ClockTrust): { name: string; upMs: number | undefined } {
  if (upMs !== undefined || isTrusted(trust)) return { name: boot, upMs };
  return { name: `${boot} wall`, upMs: timeMs };
}
