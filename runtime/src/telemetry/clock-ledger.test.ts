import t from 'tap';
import {
  correctionsIn,
  metricPrecision,
  qualityCodes,
  quantise,
  restamp,
  type Frame,
  type Resolution,
  type Sample,
} from '@villagrid/contracts';
import { changedSamples, ClockLedger, createTelemetryStore, openDatabase, seededRandom } from '../index.js';
import type { FrameReader, NumberedFrame } from '../index.js';

const seed = process.env.SEED ?? '20261128';
const grid = 'g1';
const nowMs = Date.UTC(2026, 9, 24, 23, 40);
const series = [
  ['inverter', 'generation_kw'],
  ['meter', 'consumption_kw'],
  ['meter', 'grid_tie_connected'],
] as const;
const untilMs = nowMs + 3 * 3_600_000;
const log = { gridId: grid, source: 'gw', epoch: 'e1' };

/** Boots of a gateway whose clock is wrong by so much, put right once or twice, or never but bounded by the next. */
function village(random: { float(): number }): NumberedFrame[] {
  const frames: NumberedFrame[] = [];
  const day = 86_400_000;
  const boots = [
    { boot: 'b1', wrongMs: 0, trust: 'ntp', puts: [] },
    {
      boot: 'b2',
      wrongMs: -56 * 365 * day,
      trust: 'floor',
      puts: [[60, 'phone', 40_000] as const, [110, 'ntp', 0] as const],
    },
    { boot: 'b3', wrongMs: 10 * 365 * day, trust: 'floor', puts: [] },
    { boot: 'b4', wrongMs: 3700, trust: 'rtc', puts: [[90, 'ntp', 0] as const] },
    { boot: 'b5', wrongMs: -2 * 365 * day, trust: 'floor', puts: [[130, 'cloud', 0] as const] },
  ] as const;
  let atMs = nowMs;
  for (const { boot, wrongMs, trust, puts } of boots) {
    const first = frames.length + 1;
    let wrong: number = wrongMs;
    let trusted: Frame['trust'] = trust;
    for (let i = 0; i < 150; i += 1, atMs += 5000) {
      const put = puts.find(([at]) => at === i);
      const entries: Frame['entries'][number][] = [];
      if (put) {
        entries.push({
          type: 'clock',
          boot,
          correction_ms: put[2] - wrong,
          trust: put[1],
          first_number: first,
          id: `${boot} ${i}`,
          until_ms: i * 5000,
        });
        [, trusted, wrong] = put;
      }
      if (boot === 'b4' && i === 0)
        entries.push({
          type: 'clock',
          id: 'bound b3',
          boot: 'b3',
          correction_ms: -10 * 365 * day,
          trust: 'floor',
          first_number: first - 150,
        });
      const samples: Sample[] = [];
      for (const [deviceId, metric] of series) {
        const odd = random.float();
        const late = odd < 0.04 ? Math.floor(random.float() * 3_600_000) : 0;
        const timeMs = atMs + wrong - late - Math.floor(random.float() * 1900);
        const bad = odd > 0.96;
        samples.push({
          deviceId,
          metric,
          timeMs,
          value: odd > 0.98 ? null : quantise(random.float() * 30, metricPrecision(metric)),
          quality: bad ? qualityCodes.bad_range : trusted === 'ntp' ? 0 : qualityCodes.uncertain_clock,
        });
      }
      frames.push({
        number: frames.length + 1,
        frame: {
          boot,
          monotonicMs: i * 5000,
          wallMs: atMs + wrong,
          trust: trusted,
          samples,
          events: [],
          entries,
          received: [],
        },
      });
    }
    atMs += 900_000;
  }
  return frames;
}

const readerOf = (frames: () => readonly Frame[]): FrameReader => ({
  framesOverlapping: (fromMs, toMs) =>
    frames().filter(({ samples }) => {
      const times = samples.map(({ timeMs }) => timeMs);
      return times.length > 0 && Math.max(...times) >= fromMs && Math.min(...times) < toMs;
    }),
});

function facts(store: ReturnType<typeof createTelemetryStore>) {
  const windows: Record<string, unknown> = {};
  const raw: Record<string, unknown> = {};
  for (const [deviceId, metric] of series) {
    for (const resolution of ['1m', '15m', '1h', '1d'] as Resolution[])
      windows[`${metric} ${resolution}`] = [
        [0, nowMs - 1e9],
        [nowMs - 1e9, nowMs + 1e9],
        [nowMs + 1e9, nowMs + 4e11],
      ].map(([from, to]) =>
        resolution === '1d' && to !== nowMs + 1e9
          ? []
          : store.windows(grid, deviceId, metric, resolution, from as number, to as number),
      );
    raw[metric] = store.raw(grid, deviceId, metric, nowMs - 1e8, untilMs);
  }
  return { windows, raw, latest: store.latest(grid), completeness: store.completeness(grid, untilMs) };
}

t.test('frames and corrections in any order, in any pieces, with restarts, give what right frames give', async (t) => {
  t.comment(`seed ${seed}`);
  for (let round = 0; round < 6; round += 1) {
    const random = seededRandom(`${seed} ${round}`);
    const frames = village(random);
    const corrections = frames.flatMap(({ number, frame }) => correctionsIn(frame, number));
    const right = frames.map(({ number, frame }) => ({ number, frame: restamp(frame, corrections) }));
    const reference = createTelemetryStore({
      database: openDatabase({ path: ':memory:' }),
      frames: readerOf(() => right.map(({ frame }) => frame)),
      zoneOf: () => 'Europe/Berlin',
    });
    reference.applyFrames(grid, 'gw', 'e1', right);

    const database = openDatabase({ path: ':memory:' });
    let applied: NumberedFrame[] = [];
    let ledger = new ClockLedger(database);
    const raw = readerOf(() => applied.map(({ frame }) => frame));
    const open = () =>
      createTelemetryStore({
        database,
        frames: { framesOverlapping: (from, to, gridId) => ledger.reader(raw).framesOverlapping(from, to, gridId) },
        zoneOf: () => 'Europe/Berlin',
      });
    let store = open();
    const repair = () => {
      const next = ledger.pending();
      if (!next) return false;
      const slice = applied
        .filter(({ number }) => number >= next.nextNumber)
        .slice(0, 1 + Math.floor(random.float() * 60));
      database.transaction(() => {
        const { removed, added } = changedSamples(ledger.advance(next, slice));
        store.replaceSamples(grid, removed, added);
      })();
      return true;
    };
    const inOrder = round === 0;
    const rest = inOrder
      ? [...frames]
      : frames
          .map((one) => [random.float(), one] as const)
          .sort(([a], [b]) => a - b)
          .map(([, one]) => one);
    while (rest.length > 0) {
      const batch = rest.splice(0, 1 + Math.floor(random.float() * 80));
      database.transaction(() => {
        ledger.note(log, batch);
        const corrected = batch.map(({ number, frame }) => ({ number, frame: ledger.take(grid, frame) }));
        applied = [...applied, ...batch].sort((a, b) => a.number - b.number);
        store.applyFrames(grid, 'gw', 'e1', corrected);
      })();
      for (let i = random.float() * 4; i > 1; i -= 1) repair();
      if (random.float() < 0.2) {
        ledger = new ClockLedger(database);
        store = open();
      }
    }
    while (repair());
    t.same(facts(store), facts(reference), `round ${round}`);
    t.equal(ledger.note(log, frames), false, 'corrections that come again are known');
    const again = frames.flatMap(({ frame }) => frame.entries);
    const last = frames.at(-1) as NumberedFrame;
    const rewritten = [{ number: last.number + 1, frame: { ...last.frame, samples: [], entries: again } }];
    t.equal(ledger.note(log, rewritten), false, 'also when they were written again in another frame');
  }
});
