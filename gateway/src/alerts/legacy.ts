/** The first prototype's plain-text alerts: each text becomes an alert, which ends when the text is not heard any more. */
import {
  legacyDeviceId,
  newId,
  type Alert,
  type AlertEvent,
  type Clock,
  type RandomSource,
} from '@villagrid/contracts';

/** Rule id and type of such alerts. */
export const legacyRuleId = 'legacy';
/** An alert that is not repeated for so long is over, milliseconds. */
export const legacySilenceMs = 3_600_000;
const maxTextLength = 200;
/** Different texts that may be open at a time. */
const maxOpen = 50;

interface Open {
  readonly alertId: string;
  lastMs: number;
  /** Ends when the raising is durable. */
  readonly durable: Promise<void>;
}

export interface LegacyAlertsOptions {
  readonly gridId: string;
  readonly origin: AlertEvent['origin'];
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly commit: (events: readonly AlertEvent[]) => Promise<void>;
  /** Open alerts of this kind from before a restart. */
  readonly open: readonly Alert[];
}

/** The open texts. Figures in a text do not make it another one. */
export class LegacyAlerts {
  readonly #options: LegacyAlertsOptions;
  readonly #open = new Map<string, Open>();

  constructor(options: LegacyAlertsOptions) {
    this.#options = options;
    const lastMs = options.clock.nowMs();
    for (const alert of options.open)
      this.#open.set(keyOf(alert.message), { alertId: alert.alert_id, lastMs, durable: Promise.resolve() });
  }

  /** Alerts of this kind that are open. */
  get size(): number {
    return this.#open.size;
  }

  /** A text was published; resolves when it may be acknowledged. */
  say(payload: Uint8Array): Promise<void> {
    const text = readable(payload);
    if (text === '') return Promise.resolve();
    const { clock, random, gridId, origin, commit } = this.#options;
    const nowMs = Math.round(clock.nowMs());
    const known = this.#open.get(keyOf(text));
    if (known) {
      known.lastMs = nowMs;
      return known.durable;
    }
    if (this.#open.size >= maxOpen) return Promise.resolve();
    const alertId = newId(nowMs, random);
    const durable = commit([
      {
        kind: 'raised',
        id: newId(nowMs, random),
        alert_id: alertId,
        grid_id: gridId,
        at_ms: nowMs,
        origin,
        subject: {
          rule_id: legacyRuleId,
          type: legacyRuleId,
          severity: 'high',
          message: text,
          what: `A device of the first generation says: ${text}`,
          why: 'The device itself found its values out of limits.',
          steps: ['Look at the values on the screen.', 'Go to the equipment that is named and look at it.'],
          device_id: legacyDeviceId,
          device_name: 'First-generation device',
          metric: null,
          value: null,
          limit: null,
          unit: null,
        },
      },
    ]);
    this.#open.set(keyOf(text), { alertId, lastMs: nowMs, durable });
    return durable;
  }

  /** The clock was moved by so many milliseconds. */
  clockMoved(byMs: number): void {
    for (const one of this.#open.values()) one.lastMs += byMs;
  }

  /** Ends alerts whose text was not repeated. */
  expire(): void {
    const { clock, random, gridId, origin, commit } = this.#options;
    const nowMs = Math.round(clock.nowMs());
    for (const [key, { alertId, lastMs }] of this.#open) {
      if (nowMs - lastMs < legacySilenceMs) continue;
      this.#open.delete(key);
      commit([
        {
          kind: 'cleared',
          id: newId(nowMs, random),
          alert_id: alertId,
          grid_id: gridId,
          at_ms: nowMs,
          origin,
          value: null,
        },
      ]).catch(() => {});
    }
  }
}

const keyOf = (text: string): string => text.toLowerCase().replace(/-?\d+(\.\d+)?/g, '#');

/** The text without control characters, of bounded length. */
function readable(payload: Uint8Array): string {
  const text = Buffer.from(payload.subarray(0, 4 * maxTextLength)).toString('utf8');
  return text
    .replace(/[\p{Cc}\p{Cf}\uFFFD]+/gu, ' ')
    .trim()
    .slice(0, maxTextLength)
    .trim();
}
