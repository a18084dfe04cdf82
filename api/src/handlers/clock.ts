/** A phone's time for a gateway that does not know it. */
import type { ClockAnswer } from '@villagrid/contracts';
import type { Handler } from './handler.js';

export const offerClock: Handler<'offerClock'> = ({ services, body }): ClockAnswer => {
  const { clock, identity } = services.ports;
  const offer = clock?.offerPhone(body.phone_time_ms) ?? {
    taken: false as const,
    reason: 'This server has a clock of its own that is right.',
  };
  return {
    taken: offer.taken,
    reason: offer.taken ? null : offer.reason,
    correction_ms: offer.taken ? offer.correctionMs : null,
    now_ms: Math.floor(services.clock.nowMs()),
    clock_trust: identity.clockTrust(),
  };
};
