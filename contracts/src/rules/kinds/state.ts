/** Rule kind `state`: a switch, mode or error code has one of some values, or a bit of flags is set, for so long. */
import { Type, type Static } from 'typebox';
import {
  delayed,
  delayRestingMs,
  initialDelayState,
  isDelayState,
  movedDelayState,
  overByTime,
  restartedDelay,
  restingDelay,
  stateAt,
  type DelayState,
  type RuleKind,
} from '../kind.js';

/** Parameters: values that are trouble, values that are none (all others are), or bits of which one set is trouble. */
export const stateParameters = Type.Object(
  {
    is: Type.Optional(Type.Array(Type.Number(), { minItems: 1, description: 'raise when it has one of these values' })),
    is_not: Type.Optional(
      Type.Array(Type.Number(), { minItems: 1, description: 'raise when it has any value but these' }),
    ),
    bits: Type.Optional(
      Type.Array(Type.Integer({ minimum: 0, maximum: 51 }), {
        minItems: 1,
        description: 'raise when one of these bits is set, 0 the lowest',
      }),
    ),
    on_delay_ms: Type.Integer({ default: 0, minimum: 0, description: 'how long it must be held' }),
    off_delay_ms: Type.Integer({ default: 0, minimum: 0 }),
  },
  { additionalProperties: false },
);
export type StateParameters = Static<typeof stateParameters>;

// Division, not shifts: those see 32 bits only.
const isSet = (value: number, bit: number) => Math.floor(Math.abs(value) / 2 ** bit) % 2 === 1;
const holds = (p: StateParameters, value: number) =>
  p.is?.includes(value) === true ||
  (p.is_not !== undefined && !p.is_not.includes(value)) ||
  p.bits?.some((bit) => isSet(value, bit)) === true;

/** A value out of a set, with delays. */
export const state: RuleKind<StateParameters, DelayState> = {
  kind: 'state',
  parameters: stateParameters,
  scopes: ['figure', 'series'],
  missing: (p) =>
    [p.is, p.is_not, p.bits].filter((one) => one !== undefined).length === 1
      ? undefined
      : 'parameters need exactly one of is, is_not and bits.',
  isState: isDelayState,
  initial: () => initialDelayState,
  onSample(p, before, sample) {
    const known = stateAt(before, sample.timeMs);
    if (known === undefined) return { state: before };
    const bad = holds(p, sample.value);
    const step = delayed(known, { holds: bad, over: !bad, atMs: sample.timeMs }, p);
    if (step.change === undefined) return { state: step.state };
    const { value, timeMs: atMs } = sample;
    return {
      state: step.state,
      transition:
        step.change === 'raise' ? { type: 'raise', atMs, value, limit: null } : { type: 'clear', atMs, value },
    };
  },
  moved: movedDelayState,
  restingMs: delayRestingMs,
  resting: restingDelay,
  restarted: (_p, before, raised, listening) => restartedDelay(before, raised, listening),
  onTick: (p, before, nowMs) => overByTime(before, nowMs, p.off_delay_ms),
  describe(p) {
    const delay = p.on_delay_ms > 0 ? ` for ${Math.round(p.on_delay_ms / 1000)} s` : '';
    if (p.bits) return `bit ${p.bits.join(' or ')} set${delay}`;
    if (p.is) return `is ${p.is.join(' or ')}${delay}`;
    return `is not ${(p.is_not ?? []).join(' or ')}${delay}`;
  },
};
