/** What is proven of a gateway's log, number by number and day by day, in the words of the API. Reads; changes nothing. */
import type { ProofFacts } from '@villagrid/api';
import type { LogProof, ManifestProof, TimeSpan } from '@villagrid/contracts';
import type { GatewayEntry } from '../config/schema.js';
import type { SqliteUplinkStore } from '../stores/sqlite-uplink-store.js';
import type { LogFacts, NumberRange } from '../stores/uplink-store.js';

/** Most ranges and refused numbers told of one log: the newest. */
const mostTold = 200;

type ProofStore = Pick<SqliteUplinkStore, 'logs' | 'timesAround' | 'frameCount'>;

/** Numbers without usable content, and between which times they were written; null: not known. */
interface Hole {
  readonly kind: 'missing' | 'given_up' | 'refused';
  readonly count: number;
  readonly beforeMs: number | null;
  readonly afterMs: number | null;
}

/**
 * What is proven of a gateway's logs and of days. A hole has no times of its own: it counts for every day between the
 * samples before it and after it. `manifestOf` gives what the gateway itself says of a day. What a gateway measured but never wrote down is not known here.
 */
export function proofOf(
  store: ProofStore,
  gateway: GatewayEntry,
  days: readonly TimeSpan[],
  manifestOf?: (day: TimeSpan) => ManifestProof | undefined,
): ProofFacts {
  const logs = store.logs(gateway.gateway_id);
  const holes = logs.flatMap((log) => holesOf(store, gateway.gateway_id, log));
  const last = logs.at(-1);
  // Holes are judged on their own: here only whether anything of a later day has come.
  const newestMs =
    last === undefined
      ? null
      : store.timesAround(gateway.gateway_id, last.epoch, [last.newestNumber + 1, last.newestNumber + 1]).beforeMs;
  return {
    logs: logs.map(logProof),
    days: days.map((day) => {
      const { fromMs, toMs } = day;
      const manifest = manifestOf?.(day);
      const of = (kind: Hole['kind']) =>
        holes
          .filter((hole) => hole.kind === kind && mayTouch(hole, fromMs, toMs))
          .reduce((sum, { count }) => sum + count, 0);
      const counts = { missing: of('missing'), given_up: of('given_up'), refused: of('refused') };
      const frames = store.frameCount(gateway.grid_id, fromMs, toMs);
      const worst = (['missing', 'given_up', 'refused'] as const).find((kind) => counts[kind] > 0);
      const closed = newestMs !== null && newestMs >= toMs;
      const state = worst ?? (!closed ? 'open' : frames === 0 ? 'empty' : 'proven');
      return { from_ms: fromMs, to_ms: toMs, frames, state, ...counts, ...(manifest && { manifest }) };
    }),
  };
}

const mayTouch = ({ beforeMs, afterMs }: Hole, fromMs: number, toMs: number): boolean =>
  // A clock that was put back makes the order of the two mean nothing: then both ends count.
  Math.min(beforeMs ?? Number.NEGATIVE_INFINITY, afterMs ?? Number.POSITIVE_INFINITY) < toMs &&
  Math.max(afterMs ?? Number.POSITIVE_INFINITY, beforeMs ?? Number.NEGATIVE_INFINITY) >= fromMs;

function holesOf(store: ProofStore, gatewayId: string, log: LogFacts): Hole[] {
  const hole = (kind: Hole['kind'], range: NumberRange): Hole => ({
    kind,
    count: range[1] - range[0] + 1,
    ...store.timesAround(gatewayId, log.epoch, range),
  });
  return [
    ...log.missing.map((range) => hole('missing', range)),
    ...log.givenUp.map((range) => hole('given_up', range)),
    ...rangesOf(log.refused.map(({ number }) => number)).map((range) => hole('refused', range)),
  ];
}

/** Numbers in order, perhaps some twice, as ranges. */
function rangesOf(numbers: readonly number[]): NumberRange[] {
  const ranges: [number, number][] = [];
  for (const number of numbers) {
    const last = ranges.at(-1);
    if (last !== undefined && number <= last[1] + 1) last[1] = number;
    else ranges.push([number, number]);
  }
  return ranges;
}

const countOf = (ranges: readonly NumberRange[]): number =>
  ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0);
const told = (ranges: readonly NumberRange[]): number[][] =>
  ranges.slice(-mostTold).map(([first, last]) => [first, last]);

function logProof({ epoch, newestNumber, explainedUpTo, missing, givenUp, refused }: LogFacts): LogProof {
  return {
    epoch,
    newest_number: newestNumber,
    explained_up_to: explainedUpTo,
    missing: told(missing),
    missing_count: countOf(missing),
    given_up: told(givenUp),
    given_up_count: countOf(givenUp),
    refused: refused.slice(-mostTold).map((one) => ({ ...one })),
    refused_count: refused.length,
  };
}
