/** The energy balance of a grid's meters: reads about a day through the port and lets contracts judge. */
import {
  appendWindow,
  balanceDay,
  balanceDayMs,
  balanceUntilMs,
  balanceWindowMs,
  balanceWords,
  channelFaultWords,
  diagnoseBalanceInSteps,
  emptyColumns,
  foldSample,
  meterChannels,
  needsWholeDay,
  qualityClass,
  qualityCodes,
  windowOf,
  type BalanceAnswer,
  type BalanceDay,
  type BalanceDiagnosis,
  type RollupWindow,
  type WindowColumns,
} from '@villagrid/contracts';
import { nextTurn } from '@villagrid/runtime';
import type { GridPort } from '../ports.js';
import { parseTime } from './history-request.js';

type Reads = Pick<GridPort, 'gridId' | 'site' | 'windows' | 'raw'>;

/** With fewer windows of good samples the bad ones are looked at too: a wrong sign or factor is out of every range. */
const fewWindows = 48;
/** Samples of one read. */
const rawSliceMs = 6 * 3_600_000;
const stepsPerTurn = 8;

/** About a day of a grid's meters, ending with the last whole window before a time. */
export async function readBalanceDay(grid: Reads, timeMs: number): Promise<BalanceDay> {
  const site = grid.site();
  const untilMs = balanceUntilMs(timeMs);
  const fromMs = untilMs - balanceDayMs;
  const windows = new Map<string, WindowColumns>();
  for (const { id, deviceId, metric } of meterChannels(site)) {
    const good = await grid.windows(deviceId, metric, '15m', fromMs, untilMs);
    windows.set(id, good.t.length >= fewWindows ? good : await withImpossible(grid, deviceId, metric, fromMs, untilMs));
    await nextTurn();
  }
  const sun = site.wiring.irradiance_w_m2?.terms;
  const [only] = sun ?? [];
  const irradiance =
    only !== undefined && sun?.length === 1 && only.factor === 1
      ? await grid.windows(only.device_id, only.metric, '15m', fromMs, untilMs)
      : undefined;
  return balanceDay(site, untilMs, windows, irradiance);
}

/** Windows of a series with the values that were marked as out of range. */
async function withImpossible(
  grid: Reads,
  deviceId: string,
  metric: string,
  fromMs: number,
  untilMs: number,
): Promise<WindowColumns> {
  const columns = emptyColumns();
  let open: RollupWindow | undefined;
  for (let startMs = fromMs; startMs < untilMs; startMs += rawSliceMs) {
    const { t, value, quality } = await grid.raw(deviceId, metric, startMs, Math.min(untilMs, startMs + rawSliceMs));
    for (const [row, timeMs] of t.entries()) {
      const one = value[row];
      const code = quality[row] as number;
      if (one === null || one === undefined) continue;
      if (qualityClass(code) === 'bad' && code !== qualityCodes.bad_range) continue;
      const windowMs = Math.floor(timeMs / balanceWindowMs) * balanceWindowMs;
      if (open === undefined || open.startMs !== windowMs) {
        if (open !== undefined) appendWindow(columns, open);
        open = windowOf(windowMs, timeMs, one);
      } else foldSample(open, timeMs, one);
    }
    await nextTurn();
  }
  if (open !== undefined) appendWindow(columns, open);
  return columns;
}

/** Judges a day, breathing between steps. */
export async function judgeBalance(day: BalanceDay): Promise<BalanceDiagnosis> {
  const steps = diagnoseBalanceInSteps(day);
  for (let count = 1; ; count += 1) {
    const step = steps.next();
    if (step.done === true) return step.value;
    if (count % stepsPerTurn === 0) await nextTurn();
  }
}

/** The answer of the API. Throws E_REQUEST_INVALID. */
export async function balanceView(
  grid: Reads,
  query: { readonly to?: string | undefined },
  nowMs: number,
): Promise<BalanceAnswer> {
  const untilMs = query.to === undefined ? nowMs : Math.min(nowMs, parseTime(query.to, 'to', grid.site().zone));
  const day = await readBalanceDay(grid, untilMs);
  const found = await judgeBalance(day);
  const { headline, why, steps, severity } = balanceWords(found);
  const named = ({ deviceId, metric }: { readonly deviceId: string; readonly metric: string }) => ({
    device_id: deviceId,
    metric,
  });
  return {
    grid_id: grid.gridId,
    from_ms: day.fromMs,
    to_ms: day.fromMs + day.length * day.windowMs,
    state: found.state,
    headline,
    why,
    steps: [...steps],
    severity,
    needs_whole_day: found.faults.length > 0 && needsWholeDay(found),
    faults: found.faults.map((fault) => ({
      kind: fault.kind,
      ...named(fault.channel),
      words: channelFaultWords(fault),
      size: fault.size ?? null,
      other: fault.other === undefined ? null : named(fault.other),
      also: fault.along.map(named),
    })),
    relations: found.relations.map(({ id, kind, words, channels, holds, score, share }) => ({
      id,
      kind,
      words,
      channels: [...channels],
      holds,
      score: Math.round(score * 10) / 10,
      residual_share: Math.round(share * 1000) / 1000,
    })),
    lacks: [...found.lacks],
  };
}
