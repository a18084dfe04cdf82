/** Makes the rules' kept state agree with the alerts that are open: those are the truth, the state follows. Pure. */
import { findingFigures, type Alert, type Rule } from '@villagrid/contracts';

/** Key under which the engine keeps the state of a rule for what an alert is about. */
export function stateKey(ruleId: string, deviceId: string | null, metric: string | null): string {
  // The grid has one finding of a kind at a time; its alert names the device that was found.
  const finding = Object.hasOwn(findingFigures, ruleId) ? findingFigures[ruleId] : undefined;
  if (finding !== undefined) return `${ruleId}|figure:${finding}`;
  if (deviceId === null) return `${ruleId}|figure:${metric ?? ''}`;
  return metric === null ? `${ruleId}|device:${deviceId}` : `${ruleId}|series:${deviceId}/${metric}`;
}

/** When the gateway began to listen again, Unix ms, and how long devices have to be heard before they count as silent. */
export interface Listening {
  readonly sinceMs: number;
  readonly graceMs: number;
}

/**
 * Reconciles an engine's exported state with the open alerts: what has an alert is raised, what has none is not. Silence
 * goes on counting from a device's last word; but while the gateway was off it heard nobody, so each has a grace to speak.
 */
export function reconcileState(
  saved: string | undefined,
  rules: readonly Rule[],
  open: readonly Alert[],
  { sinceMs, graceMs }: Listening,
): string {
  const states = new Map<string, Record<string, unknown>>();
  // A clock that was ahead in an earlier run must not keep rules silent until that time comes.
  const past = (value: unknown) => (typeof value === 'number' ? Math.min(value, sinceMs) : value);
  for (const [key, state] of read(saved)) {
    const known: Record<string, unknown> = { ...state, raised: false, lastMs: past(state.lastMs) };
    if ('pendingSinceMs' in state) known.pendingSinceMs = past(state.pendingSinceMs);
    states.set(key, known);
  }
  for (const alert of open) {
    const key = stateKey(alert.rule_id, alert.device_id, alert.metric);
    const known = states.get(key) ?? { pendingSinceMs: null, lastMs: 0 };
    states.set(key, { ...known, raised: true });
  }
  const silence = new Map(
    rules.filter((rule) => rule.kind === 'no_data').map((rule) => [rule.id, Number(rule.parameters.silent_for_ms)]),
  );
  for (const [key, state] of states) {
    const silentForMs = silence.get(key.slice(0, key.indexOf('|')));
    if (silentForMs === undefined) continue;
    const lastMs = typeof state.lastMs === 'number' ? state.lastMs : null;
    const earliestMs = sinceMs + Math.min(graceMs, silentForMs) - silentForMs;
    states.set(
      key,
      state.raised === true
        ? { raised: true, lastMs: lastMs ?? 0 }
        : { raised: false, lastMs: lastMs === null ? null : Math.max(lastMs, earliestMs) },
    );
  }
  return JSON.stringify([...states]);
}

function read(saved: string | undefined): [string, Record<string, unknown>][] {
  if (saved === undefined) return [];
  try {
    return JSON.parse(saved) as [string, Record<string, unknown>][];
  } catch {
    return [];
  }
}
