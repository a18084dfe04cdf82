/** A limit that can be moved: a slider to feel it, a number to be exact. */
import { useState } from 'preact/hooks';
import { isMessageKey, t } from '../../i18n/messages.js';

/** A limit as the API lists it. */
export interface Limit {
  readonly path: string;
  readonly value: number;
  readonly unit: string;
}

/** The last part of a path: what kind of limit it is. */
export const limitName = (path: string): string => path.slice(path.lastIndexOf('.') + 1);

/** Limits that people move; the rest of a rule's numbers is for installers. */
export function isMoved({ path }: Limit): boolean {
  return ['above', 'below', 'on_delay_ms', 'silent_for_ms'].includes(limitName(path)) && !path.includes('.unless.');
}

/** How a limit is shown: its unit, and what its value is divided by. */
export function shownUnit({ path, unit }: Limit): { readonly unit: string; readonly factor: number } {
  if (unit !== 'ms') return { unit, factor: 1 };
  return limitName(path) === 'silent_for_ms'
    ? { unit: t('rules.minutes'), factor: 60_000 }
    : { unit: t('rules.seconds'), factor: 1000 };
}

/** Ends and step of a slider around a value: twice as far, in steps that a finger can meet. */
export function sliderRange(value: number, unit: string): { min: number; max: number; step: number } {
  if (unit === '%') return { min: 0, max: 100, step: 1 };
  const span = Math.max(Math.abs(value), unit === t('rules.seconds') ? 300 : 1);
  const step = 10 ** Math.floor(Math.log10(span) - 1);
  const max = Math.ceil((2 * span) / step) * step;
  return { min: value < 0 ? -max : 0, max, step };
}

export function LimitInput({
  limit,
  value,
  onChange,
}: {
  limit: Limit;
  value: number;
  onChange: (value: number) => void;
}) {
  const { unit, factor } = shownUnit(limit);
  const { min, max, step } = sliderRange(limit.value / factor, unit);
  const key = `rules.limit.${limitName(limit.path)}`;
  const label = isMessageKey(key) ? t(key) : t('rules.limit');
  const take = (text: string) => {
    const given = Number(text);
    if (text.trim() !== '' && Number.isFinite(given)) onChange(Math.round(given * factor * 1000) / 1000);
  };
  const shown = value / factor;
  /** What is being typed: values that arrive meanwhile must not take it away. */
  const [draft, setDraft] = useState<string>();
  return (
    <div class="limit" role="group" aria-label={label}>
      <span>{label}</span>
      <input
        type="range"
        min={min}
        max={max}
        step={step}
        value={shown}
        aria-label={`${label}, ${unit}`}
        onInput={(event) => take(event.currentTarget.value)}
      />
      <span class="limit-number">
        <input
          type="number"
          inputMode="decimal"
          step="any"
          value={draft ?? shown}
          aria-label={`${label}, ${unit}`}
          onInput={(event) => {
            setDraft(event.currentTarget.value);
            take(event.currentTarget.value);
          }}
          onBlur={() => setDraft(undefined)}
        />
        {unit}
      </span>
    </div>
  );
}
