/** Numbers of this process since its start, for health and monitoring. */

export interface Counters {
  envelopes: number;
  envelopesRefused: number;
  framesAdded: number;
  framesRepeated: number;
  framesBad: number;
  conflicts: number;
  receipts: number;
  commits: number;
  framesProjected: number;
  samplesProjected: number;
  projectionFailures: number;
  alertEvents: number;
  actsSent: number;
  hellos: number;
  /** Of devices without a gateway. */
  devicePublishes: number;
  deviceReadings: number;
  deviceRefused: number;
  deviceAlerts: number;
  /** Single metrics that were odd, by finding. */
  readonly deviceFindings: Record<string, number>;
}

/** All at zero. */
export const newCounters = (): Counters => ({
  envelopes: 0,
  envelopesRefused: 0,
  framesAdded: 0,
  framesRepeated: 0,
  framesBad: 0,
  conflicts: 0,
  receipts: 0,
  commits: 0,
  framesProjected: 0,
  samplesProjected: 0,
  projectionFailures: 0,
  alertEvents: 0,
  actsSent: 0,
  hellos: 0,
  devicePublishes: 0,
  deviceReadings: 0,
  deviceRefused: 0,
  deviceAlerts: 0,
  deviceFindings: {},
});
