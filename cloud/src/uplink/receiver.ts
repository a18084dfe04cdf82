/** What is done with what gateways and devices say, from whatever broker it comes. */
import type { DirectIntake } from '../direct/intake.js';
import type { Acceptor } from '../ingest/accept.js';
import type { Lanes } from './lanes.js';
import { saysOffline, type UplinkReceiver } from './port.js';
import type { Presence } from './presence.js';

export interface ReceiverOptions {
  readonly presence: Presence;
  readonly lanes: Lanes;
  readonly acceptor: Acceptor;
  readonly direct: DirectIntake;
}

/** Makes it. */
export function createReceiver({ presence, lanes, acceptor, direct }: ReceiverOptions): UplinkReceiver {
  const gone: UplinkReceiver['gone'] = (speaker) =>
    speaker.kind === 'gateway' ? presence.unreachable(speaker.gateway, 'will') : direct.gone(speaker.device.device_id);
  return {
    async take(said, payload) {
      switch (said.what) {
        case 'status':
          if (saysOffline(payload)) gone(said.speaker);
          return;
        case 'telemetry':
          return direct.telemetry(said.device, payload);
        case 'alert':
          return direct.alert(said.device, payload);
        case 'lane': {
          const { gateway, lane } = said;
          presence.heard(gateway);
          if (lane === 'session') return lanes.session(gateway, payload);
          if (lane === 'alerts') return lanes.alerts(gateway, payload);
          return acceptor.accept({ gateway, lane, payload });
        }
      }
    },
    connected: (speaker) =>
      speaker.kind === 'gateway' ? presence.connected(speaker.gateway) : direct.connected(speaker.device.device_id),
    disconnected: (speaker) =>
      speaker.kind === 'gateway'
        ? presence.disconnected(speaker.gateway)
        : direct.disconnected(speaker.device.device_id),
    gone,
  };
}
