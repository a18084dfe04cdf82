/** The API's own counters in Prometheus text: requests by route and status, durations, live clients. */

const bucketsS = [0.005, 0.025, 0.1, 0.5, 2, 10] as const;

interface Durations {
  readonly buckets: number[];
  sumS: number;
  count: number;
}

/** Counters of one server, over all its listeners. */
export class RequestCounters {
  readonly #requests = new Map<string, number>();
  readonly #durations = new Map<string, Durations>();
  liveClients = 0;
  liveFrames = 0;
  liveDropped = 0;

  /** Notes one answered request; `route` is the path of the table, never the address as asked. */
  answered(route: string, method: string, status: number, durationMs: number): void {
    const key = `route="${route}",method="${method}",status="${status}"`;
    this.#requests.set(key, (this.#requests.get(key) ?? 0) + 1);
    const durations = this.#durations.get(route) ?? { buckets: bucketsS.map(() => 0), sumS: 0, count: 0 };
    this.#durations.set(route, durations);
    durations.sumS += durationMs / 1000;
    durations.count += 1;
    for (const [at, bound] of bucketsS.entries())
      if (durationMs / 1000 <= bound) durations.buckets[at] = (durations.buckets[at] ?? 0) + 1;
  }

  /** All counters as Prometheus text. */
  prometheus(): string {
    const lines = [
      '# HELP villagrid_http_requests_total Requests answered.',
      '# TYPE villagrid_http_requests_total counter',
      ...[...this.#requests].map(([labels, count]) => `villagrid_http_requests_total{${labels}} ${count}`),
      '# HELP villagrid_http_request_duration_seconds Time from request to answer.',
      '# TYPE villagrid_http_request_duration_seconds histogram',
    ];
    for (const [route, { buckets, sumS, count }] of this.#durations) {
      const name = 'villagrid_http_request_duration_seconds';
      for (const [at, bound] of bucketsS.entries())
        lines.push(`${name}_bucket{route="${route}",le="${bound}"} ${buckets[at]}`);
      lines.push(`${name}_bucket{route="${route}",le="+Inf"} ${count}`);
      lines.push(`${name}_sum{route="${route}"} ${sumS.toFixed(6)}`, `${name}_count{route="${route}"} ${count}`);
    }
    lines.push(
      '# HELP villagrid_live_clients Open live channels.',
      '# TYPE villagrid_live_clients gauge',
      `villagrid_live_clients ${this.liveClients}`,
      '# HELP villagrid_live_frames_total Frames sent on live channels.',
      '# TYPE villagrid_live_frames_total counter',
      `villagrid_live_frames_total ${this.liveFrames}`,
      '# HELP villagrid_live_dropped_total Live channels closed because their reader was too slow.',
      '# TYPE villagrid_live_dropped_total counter',
      `villagrid_live_dropped_total ${this.liveDropped}`,
    );
    return `${lines.join('\n')}\n`;
  }
}
