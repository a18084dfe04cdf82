/** Frames of the live channel `/api/live/{grid_id}`, JSON text each. */
import type { AlertView, DeviceView, FigureView, Summary } from './schemas.js';

/** From the client, first: who asks. Not needed when the Authorization header carried the token. */
export interface LiveAuthenticate {
  readonly type: 'authenticate';
  readonly token: string;
}

/** Everything at the start; `sequence` rises by one with each further frame. */
export interface LiveSnapshot {
  readonly type: 'snapshot';
  readonly sequence: number;
  readonly summary: Summary;
  readonly alerts: readonly AlertView[];
  readonly devices: readonly DeviceView[];
}
/** Figures that changed: the first at once, further ones gathered for a moment, or for a second while a client cannot keep up. */
export interface LiveValues {
  readonly type: 'values';
  readonly sequence: number;
  readonly now_ms: number;
  readonly figures: Readonly<Record<string, FigureView>>;
  readonly verdict: Summary['verdict'];
  readonly last_reported_ms: number | null;
}
/** An alert that was raised or changed. */
export interface LiveAlert {
  readonly type: 'alert';
  readonly sequence: number;
  readonly alert: AlertView;
}
/** Devices whose link state changed. */
export interface LiveDevices {
  readonly type: 'devices';
  readonly sequence: number;
  readonly devices: readonly DeviceView[];
}
/** Every 20 s, so that both sides notice a dead line. */
export interface LivePing {
  readonly type: 'ping';
  readonly now_ms: number;
}
/** Refused: the connection closes after it. */
export interface LiveError {
  readonly type: 'error';
  readonly code: string;
  readonly detail: string;
}
export type LiveFrame = LiveSnapshot | LiveValues | LiveAlert | LiveDevices | LivePing | LiveError;

/** Where a gateway that is its own access point can be reached on its Wi-Fi; policies of pages name it, so it is fixed. */
export const gatewayAddress = 'http://10.77.0.1:8080';

/** How long the first frame of the client may take, and the heartbeat, milliseconds. */
export const liveAuthenticateWithinMs = 5000;
export const liveHeartbeatMs = 20_000;
/** Shortest time between two `values` frames, and the same while somebody's line cannot take them, milliseconds. */
export const liveCoalesceMs = 10;
export const liveSlowCoalesceMs = 1000;
