/** The newest sample of each series of a grid, in memory, filled from the telemetry store and by projection. */
import type { Clock, Sample, SnapshotSample } from '@villagrid/contracts';
import type { LatestSample } from '@villagrid/runtime';

/** Names a series. */
export interface SeriesName {
  readonly deviceId: string;
  readonly metric: string;
}

/** A sample further ahead than this comes from a gateway whose clock was wrong: it does not outlive what comes after it. */
const aheadMs = 600_000;

export class Snapshot {
  readonly #devices = new Map<string, Map<string, SnapshotSample>>();
  readonly #clock: Clock;

  constructor(latest: readonly LatestSample[], clock: Clock) {
    this.#clock = clock;
    for (const one of latest) this.#put(one);
  }

  get(deviceId: string, metric: string): SnapshotSample | undefined {
    return this.#devices.get(deviceId)?.get(metric);
  }

  metricsOf(deviceId: string): readonly string[] {
    return [...(this.#devices.get(deviceId)?.keys() ?? [])];
  }

  /** Takes samples; gives the series whose newest one changed. */
  take(samples: readonly Sample[]): readonly SeriesName[] {
    const changed = new Map<string, SeriesName>();
    for (const sample of samples) {
      const known = this.get(sample.deviceId, sample.metric);
      if (known && known.timeMs > sample.timeMs && known.timeMs <= this.#clock.nowMs() + aheadMs) continue;
      this.#put(sample);
      const { deviceId, metric } = sample;
      changed.set(`${deviceId} ${metric}`, { deviceId, metric });
    }
    return [...changed.values()];
  }

  #put({ deviceId, metric, timeMs, value, quality }: LatestSample | Sample): void {
    let device = this.#devices.get(deviceId);
    if (!device) this.#devices.set(deviceId, (device = new Map()));
    device.set(metric, { timeMs, value, quality });
  }
}
