/** What a rule kind is: pure evaluation of samples and ticks over a small state that can be stored as JSON. */
import type { TSchema } from 'typebox';

/** A sample as rules see it: good or uncertain values only. */
export interface RuleSample {
  readonly deviceId: string | null;
  readonly metric: string;
  readonly timeMs: number;
  readonly value: number;
}

/** What is usual for a metric at a time of day, from the site's own days; all in the metric's unit. */
export interface UsualValue {
  /** Bounds of what is usual: about eight values of ten lie within. */
  readonly low: number;
  readonly middle: number;
  readonly high: number;
  /** Days it was learnt from. */
  readonly days: number;
}

/** What a kind may ask about the present, in event time. */
export interface RuleContext {
  /**
   * The newest good value of a grid figure not older than `maxAgeMs` before `timeMs`; undefined otherwise. Asked only for
   * figures that the engine itself was never told.
   */
  figure(metric: string, timeMs: number, maxAgeMs: number): number | undefined;
  /** Whether something with an alert of its own keeps a device from being heard: one cause, one alert. */
  excused?(deviceId: string): boolean;
  /** What is usual for a grid figure (`deviceId` null) or a device's series at a time; undefined while that is not known. */
  usual?(deviceId: string | null, metric: string, timeMs: number): UsualValue | undefined;
}

/** What the engine is to make of a start: when the gateway began to listen again, and how long devices have to be heard. */
export interface Listening {
  /** Unix ms. */
  readonly sinceMs: number;
  /** Milliseconds in which devices come back before their silence counts. */
  readonly graceMs: number;
}

/** What an evaluation concluded: nothing, or that the condition began or ended. */
export type Transition =
  | { readonly type: 'raise'; readonly atMs: number; readonly value: number | null; readonly limit: number | null }
  | { readonly type: 'clear'; readonly atMs: number; readonly value: number | null };

export interface Step<S> {
  readonly state: S;
  readonly transition?: Transition;
}

/** One kind of rule. `P` its parameters, `S` its state per subject. */
export interface RuleKind<P, S> {
  readonly kind: string;
  readonly parameters: TSchema;
  /** What it may watch. */
  readonly scopes: ReadonlyArray<'figure' | 'series' | 'device'>;
  /** What parameters of the right form still lack, a sentence each; undefined or none when nothing. */
  missing?(parameters: P): string | readonly string[] | undefined;
  initial(): S;
  /** Whether a stored document is a state of this kind. */
  isState(value: unknown): value is S;
  /** Whether a second sample of the same time changes nothing: of a device's reading the first one is enough. */
  readonly oncePerTime?: boolean;
  /**
   * What it wants to see beside its subject: grid figures for a rule of a figure, metrics for a rule of a device. A rule of a
   * device that does not say sees every sample of it.
   */
  watches?(parameters: P): readonly string[];
  /** Figures of the grid that it asks the context for beside those it watches. */
  figures?(parameters: P): readonly string[];
  /**
   * Time of the last sample of a state that holds nothing else; undefined for one that does. Such states are kept as their
   * time alone, so that keeping the rules' state with every commit wears no card.
   */
  restingMs?(state: S): number | undefined;
  /** The state that `restingMs` told of. */
  resting?(lastMs: number): S;
  /**
   * The state after a restart: the open alerts say whether it is raised, and nothing in it is later than the moment the
   * gateway began to listen. Left out, only a state with delays is understood.
   */
  restarted?(parameters: P, state: S, raised: boolean, listening: Listening): S;
  /** Takes one sample of the subject, in order of time. */
  onSample(parameters: P, state: S, sample: RuleSample, context: RuleContext): Step<S>;
  /** The state when a value it watches is not usable any more: of bad quality, or not known. */
  lost?(state: S, metric: string): S;
  /** The state after the clock that dates samples was moved by so many milliseconds: delays go on as if nothing had been. */
  moved(state: S, byMs: number): S;
  /** Time has passed without a sample. */
  onTick(parameters: P, state: S, nowMs: number, context: RuleContext): Step<S>;
  /** Time has passed while the subject's device was excused; without it that is as any other time. */
  excused?(state: S, nowMs: number): S;
  /** The condition in one plain sentence, without the subject's name. */
  describe(parameters: P, unit: string): string;
}

/** State of a condition with delays: since when it has held or has been over, and whether it is raised. */
export interface DelayState {
  readonly raised: boolean;
  /** Since when the condition has held (not raised) or been over (raised); null when it is not pending. */
  readonly pendingSinceMs: number | null;
  readonly lastMs: number;
}

export const initialDelayState: DelayState = { raised: false, pendingSinceMs: null, lastMs: 0 };

/** Whether a stored document is a state with delays. */
export function isDelayState(value: unknown): value is DelayState {
  const { raised, pendingSinceMs, lastMs } = (value ?? {}) as Partial<Record<keyof DelayState, unknown>>;
  return (
    typeof raised === 'boolean' &&
    (pendingSinceMs === null || typeof pendingSinceMs === 'number') &&
    typeof lastMs === 'number'
  );
}

/** A state with delays after the clock was moved. */
export const movedDelayState = <S extends DelayState>(state: S, byMs: number): S => ({
  ...state,
  pendingSinceMs: state.pendingSinceMs === null ? null : state.pendingSinceMs + byMs,
  lastMs: Math.max(0, state.lastMs + byMs),
});
/** The time of a state with delays that holds nothing else. */
export const delayRestingMs = (state: DelayState): number | undefined =>
  state.raised || state.pendingSinceMs !== null ? undefined : state.lastMs;
/** A state with delays that holds nothing but the time of its last sample. */
export const restingDelay = (lastMs: number): DelayState => ({ raised: false, pendingSinceMs: null, lastMs });

/** A state with delays after a restart: a clock that was ahead before must not keep it silent until that time comes. */
export function restartedDelay<S extends DelayState>(state: S, raised: boolean, { sinceMs }: Listening): S {
  const lastMs = Math.min(state.lastMs, sinceMs);
  const pendingSinceMs = state.pendingSinceMs === null ? null : Math.min(state.pendingSinceMs, sinceMs);
  if (raised === state.raised && lastMs === state.lastMs && pendingSinceMs === state.pendingSinceMs) return state;
  return { ...state, raised, lastMs, pendingSinceMs };
}

/** Samples reach a rule at most this late, milliseconds: one that seems later tells that the clock was set back. */
export const latestSampleMs = 600_000;

/**
 * The state to go on with at a sample's time: undefined for a late sample, which tells about the past and must not
 * disturb what is pending now. After the clock was set back the count begins anew at the sample.
 */
export function stateAt(state: DelayState, timeMs: number): DelayState | undefined {
  if (timeMs >= state.lastMs) return state;
  if (state.lastMs - timeMs <= latestSampleMs) return undefined;
  return { raised: state.raised, pendingSinceMs: null, lastMs: timeMs };
}

/** Applies on-delay and off-delay to a condition seen at a time. Holding for exactly the delay counts. */
export function delayed(
  state: DelayState,
  seen: { readonly holds: boolean; readonly over: boolean; readonly atMs: number },
  delays: { readonly on_delay_ms: number; readonly off_delay_ms: number },
): { readonly state: DelayState; readonly change: 'raise' | 'clear' | undefined } {
  const wanted = state.raised ? seen.over : seen.holds;
  const lastMs = Math.max(state.lastMs, seen.atMs);
  if (!wanted) return { state: { raised: state.raised, pendingSinceMs: null, lastMs }, change: undefined };
  const since = state.pendingSinceMs ?? seen.atMs;
  const delay = state.raised ? delays.off_delay_ms : delays.on_delay_ms;
  if (seen.atMs - since < delay)
    return { state: { raised: state.raised, pendingSinceMs: since, lastMs }, change: undefined };
  return { state: { raised: !state.raised, pendingSinceMs: null, lastMs }, change: state.raised ? 'clear' : 'raise' };
}

/**
 * Time has passed without a sample: what was over at the last one stays over, so a raised condition ends after its
 * off-delay. It does not begin so: one sample beyond the limit and then silence is no lasting condition.
 */
export function overByTime<S extends DelayState>(state: S, nowMs: number, offDelayMs: number): Step<S> {
  if (!state.raised || state.pendingSinceMs === null || nowMs - state.pendingSinceMs < offDelayMs) return { state };
  // Dated by the delay, not by the look at the clock: live, replayed and after a restart it is the same moment.
  return {
    state: { ...state, raised: false, pendingSinceMs: null },
    transition: { type: 'clear', atMs: state.pendingSinceMs + offDelayMs, value: null },
  };
}
