/**
 * Intake: payloads and readings become dated, judged samples. Screens and rules see them on arrival, the log keeps them
 * with its next commit, and only then is the sender's publish acknowledged. A payload that cannot be understood is
 * counted, logged and acknowledged, because it would come again for ever; everything else goes on.
 */
import {
  Dating,
  DeviceWatch,
  errorCatalogue,
  isTrusted,
  parseTelemetryText,
  qualityCodes,
  qualityName,
  toMetricValue,
  type Clock,
  type ClockTrust,
  type Dated,
  type DeviceSeries,
  type Finding,
  type MetricValue,
  type ParsedTelemetry,
  type QualityCode,
  type Reading,
  type Sample,
} from '@villagrid/contracts';
import type { Logger } from '@villagrid/runtime';
import type { DriverReading } from '../drivers/port.js';
import { Seldom } from './seldom.js';
import type { DurableLog } from '../log/log.js';
import type { NodeSequences } from '../log/sequences.js';
import { NodeForms, type KnownForm } from './node-forms.js';

/** Series one device may have; more cannot be honest and would fill the memory. */
const maxSeriesPerDevice = 256;
/** What a publish waits for that brings nothing to keep. */
const nothingToKeep = Promise.resolve();
const datingState = 'node_boots';
/** Frames between two keepings of the nodes' boot times. */
const keepDatingEvery = 256;
const watchesState = 'odd_values';
/** Between two keepings of what was seen of odd values, real milliseconds: they show in hours, and the card has better to do. */
const keepWatchesEveryMs = 600_000;

/** Counters since the start. */
export interface IntakeCounters {
  publishes: number;
  readings: number;
  samples: number;
  repeats: number;
  /** Whole payloads refused, by error code. */
  readonly refused: Record<string, number>;
  /** Single metrics that were odd, by finding. */
  readonly findings: Record<string, number>;
}

export interface IntakeOptions {
  readonly log: DurableLog;
  readonly sequences: NodeSequences;
  readonly clock: Clock;
  readonly clockTrust: () => ClockTrust;
  readonly realClock: Clock;
  readonly logger: Logger;
  /** Whether a figure of the grid is wired to a series: such a one is taken whatever else its device invents. */
  readonly wired: (deviceId: string, metric: string) => boolean;
  /** Screens and rules: called with the samples of one reading, before they are committed. */
  readonly arrived: (samples: readonly Sample[]) => void;
  /** The same for whole readings of the same series: gives the function that is called with each. */
  readonly arrivals: (series: DeviceSeries) => ReadingArrived;
}

/** Takes a reading of usable quality that arrived; its values, scaled as in `DeviceSeries`, are true until it returns. */
export type ReadingArrived = (timeMs: number, values: Float64Array, quality: QualityCode, arrivalMs: number) => void;

/** Takes what devices say. */
export interface Intake {
  /** A publish on a device's telemetry topic; resolves when it may be acknowledged. */
  telemetry(deviceId: string, payload: Uint8Array): Promise<unknown>;
  /**
   * The quick way of one device's payloads, bytes `from` to `to`: undefined for what it cannot read, and for what has no
   * boot, which then are to be given to `telemetry`.
   */
  telemetryOf(deviceId: string): (bytes: Uint8Array, from: number, to: number) => Promise<unknown> | undefined;
  /** A message that was understood elsewhere (a node's own form); resolves when it may be acknowledged. */
  parsed(deviceId: string, parsed: ParsedTelemetry): Promise<unknown>;
  /** A driver's reading; resolves when it is durable. */
  driver(reading: DriverReading): Promise<void>;
  readonly counters: IntakeCounters;
}

/** UTF-8 bytes as text, without a copy of the bytes. */
const textOf = (bytes: Uint8Array, from = 0, to = bytes.length): string =>
  (bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)).toString(
    'utf8',
    from,
    to,
  );

/** Makes the intake of one grid. */
export function createIntake(options: IntakeOptions): Intake {
  const { log, sequences, clock, logger } = options;
  const counters: IntakeCounters = { publishes: 0, readings: 0, samples: 0, repeats: 0, refused: {}, findings: {} };
  const seldom = new Seldom(options.realClock);
  const seriesOf = new Map<string, Set<string>>();
  const watches = restoredWatches();
  const rows = new WeakMap<DeviceSeries, ReturnType<DeviceWatch['row']>>();
  const arrival = () => ({ nowMs: clock.nowMs(), monotonicMs: clock.monotonicMs(), trust: options.clockTrust() });
  /** The same for all that arrives in one piece: asking the clocks for each reading costs more than dating it. */
  let ofThisTurn: ReturnType<typeof arrival> | undefined;
  const forgetTurn = () => void (ofThisTurn = undefined);
  const arrivalOfTurn = () => {
    if (ofThisTurn === undefined) {
      ofThisTurn = arrival();
      queueMicrotask(forgetTurn);
    }
    return ofThisTurn;
  };
  const dating = restoredDating();
  let keptNumber = log.newestNumber();
  log.join((number) => {
    if (number - keptNumber < keepDatingEvery || !isTrusted(options.clockTrust())) return;
    keptNumber = number;
    log.putState(datingState, number, dating.exportState(arrival()));
  });

  let watchesKeptMs = options.realClock.monotonicMs();
  log.join((number) => {
    if (options.realClock.monotonicMs() - watchesKeptMs < keepWatchesEveryMs) return;
    watchesKeptMs = options.realClock.monotonicMs();
    const state = Object.fromEntries([...watches].map(([deviceId, watch]) => [deviceId, watch.exportState()]));
    log.putState(watchesState, number, JSON.stringify(state));
  });

  /** A value that was stuck before the start is stuck after it: what was seen is kept now and then. */
  function restoredWatches(): Map<string, DeviceWatch> {
    const made = new Map<string, DeviceWatch>();
    const saved = log.state(watchesState)?.value;
    if (saved === undefined) return made;
    try {
      for (const [deviceId, state] of Object.entries(JSON.parse(saved) as Record<string, unknown>)) {
        const watch = new DeviceWatch();
        watch.importState(state);
        made.set(deviceId, watch);
      }
    } catch (error) {
      logger.warn('what was seen of odd values could not be read; it is seen anew', { error });
    }
    return made;
  }

  function restoredDating(): Dating {
    const made = new Dating();
    const saved = log.state(datingState);
    if (saved) made.importState(saved.value, arrival());
    return made;
  }

  const refuse = (deviceId: string, code: keyof typeof errorCatalogue, detail: string): void => {
    counters.refused[code] = (counters.refused[code] ?? 0) + 1;
    seldom.tell(`${deviceId} ${code}`, (times) =>
      logger.warn(`a payload was refused: ${errorCatalogue[code].title.toLowerCase()}`, {
        code,
        device_id: deviceId,
        detail: detail.slice(0, 160),
        times,
        next: errorCatalogue[code].next,
      }),
    );
  };

  const find = (deviceId: string, findings: readonly Pick<Finding, 'metric'>[], codeOf: (one: number) => string) => {
    for (const [index, { metric }] of findings.entries()) {
      const code = codeOf(index);
      counters.findings[code] = (counters.findings[code] ?? 0) + 1;
      seldom.tell(`${deviceId} ${code} ${metric}`, (times) =>
        logger.warn('a metric of a reading is odd', { finding: code, device_id: deviceId, metric, times }),
      );
    }
  };

  /** Whether a device may have a series: not more than so many, but those that the grid is wired to in any case. */
  const isAdmitted = (known: Set<string>, deviceId: string, metric: string): boolean => {
    if (known.has(metric)) return true;
    if (known.size >= maxSeriesPerDevice && !options.wired(deviceId, metric)) return false;
    known.add(metric);
    return true;
  };

  const watchOf = (deviceId: string): DeviceWatch => {
    let watch = watches.get(deviceId);
    if (!watch) watches.set(deviceId, (watch = new DeviceWatch()));
    return watch;
  };

  /** What the watch says of a reading of a form; undefined where all is good. */
  const oddities = (series: DeviceSeries, values: Float64Array, timeMs: number): Uint8Array | undefined => {
    let row = rows.get(series);
    if (!row) rows.set(series, (row = watchOf(series.deviceId).row(series.metrics, series.factors)));
    return row(values, timeMs);
  };

  /** The quality of a value: its own, what the watch says of it, or what its reading has. */
  const judged = (deviceId: string, one: MetricValue, timeMs: number, quality: QualityCode): QualityCode => {
    if (one.quality !== qualityCodes.good || one.value === null) return one.quality;
    const odd = watchOf(deviceId).judge(one.metric, one.value, timeMs);
    if (odd === qualityCodes.good) return quality;
    find(deviceId, [one], () => qualityName(odd));
    return odd;
  };

  /** The samples of a reading; values of series that the device may not have are counted and left out. */
  const samplesOf = (deviceId: string, values: readonly MetricValue[], dated: Dated): Sample[] => {
    const { timeMs } = dated;
    const quality = markedQuality(dated);
    let known = seriesOf.get(deviceId);
    if (!known) seriesOf.set(deviceId, (known = new Set()));
    const samples: Sample[] = [];
    const left: MetricValue[] = [];
    for (const one of values) {
      const { metric, value } = one;
      if (isAdmitted(known, deviceId, metric))
        samples.push({ deviceId, metric, timeMs, value, quality: judged(deviceId, one, timeMs, quality) });
      else left.push(one);
    }
    if (left.length > 0) find(deviceId, left, () => 'too_many_series');
    return samples;
  };

  /** How a time is kept: what the gateway dated itself is marked until a time service keeps its clock. */
  const markedQuality = ({ quality, byGateway }: Pick<Dated, 'quality' | 'byGateway'>): QualityCode =>
    byGateway && options.clockTrust() !== 'ntp' ? qualityCodes.uncertain_clock : quality;

  /** The same for all samples of a reading. */
  const shownQuality = (quality: QualityCode): QualityCode => {
    const trust = options.clockTrust();
    const isShown = trust === 'ntp' || !isTrusted(trust) || quality !== qualityCodes.uncertain_clock;
    return isShown ? quality : qualityCodes.good;
  };

  /** What screens see: a mark means something only while the clock is not trusted; see `restamp`. */
  const shown = (samples: readonly Sample[]): readonly Sample[] => {
    const trust = options.clockTrust();
    if (trust === 'ntp' || !isTrusted(trust)) return samples;
    return samples.map((one) =>
      one.quality === qualityCodes.uncertain_clock ? { ...one, quality: qualityCodes.good } : one,
    );
  };

  const tellArrived = (samples: readonly Sample[]): void => {
    try {
      options.arrived(samples);
    } catch (error) {
      logger.error('screens or rules failed over a reading; it is kept all the same', { error });
    }
  };

  /** Resolves when the publish may be acknowledged; publishes of one commit get the same promise, so that they wait at little cost. */
  const take = (deviceId: string, parsed: ParsedTelemetry): Promise<unknown> => {
    counters.publishes += 1;
    if (!parsed.ok) {
      refuse(deviceId, parsed.code, parsed.detail);
      return nothingToKeep;
    }
    const { findings } = parsed;
    if (findings.length > 0) find(deviceId, findings, (index) => findings[index]?.code ?? '');
    const { fresh, waitFor } = sort(deviceId, parsed.readings);
    if (fresh.length > 0) {
      const dated = dating.date(deviceId, fresh, parsed.resent, arrival());
      const samples = fresh.map((reading, index) => samplesOf(deviceId, reading.values, dated[index] as Dated));
      counters.readings += fresh.length;
      // Rules first: an alert must be in the commit of its cause, and the engine's kept state never behind its frame.
      const inOrder =
        samples.length > 1 ? [...samples].sort((a, b) => (a[0]?.timeMs ?? 0) - (b[0]?.timeMs ?? 0)) : samples;
      for (const one of inOrder) if (one.length > 0) tellArrived(shown(one));
      // In the order in which rules saw them: so they go through them once more after a restart.
      waitFor.push(keep(deviceId, fresh, inOrder.length === 1 ? (inOrder[0] ?? []) : inOrder.flat()));
    }
    if (waitFor.length > 1) return Promise.all(waitFor);
    return waitFor[0] ?? nothingToKeep;
  };

  /** Which readings are new, and the commits that repeats still wait for. */
  const sort = (deviceId: string, readings: readonly Reading[]) => {
    const fresh: Reading[] = [];
    const waitFor: Promise<number>[] = [];
    const here = readings.length > 1 ? new Set<string>() : undefined;
    for (const reading of readings) {
      const { boot, seq } = reading;
      // A number without its boot starts again at every boot: it tells nothing, and twice is better than not at all.
      if (seq === undefined || boot === undefined) {
        fresh.push(reading);
        continue;
      }
      const known = here?.has(`${boot} ${seq}`) ? 'committed' : sequences.find(deviceId, boot, seq);
      if (known === undefined) {
        here?.add(`${boot} ${seq}`);
        fresh.push(reading);
      } else {
        counters.repeats += 1;
        if (known !== 'committed') waitFor.push(known);
      }
    }
    return { fresh, waitFor };
  };

  const keep = (
    deviceId: string,
    readings: readonly Pick<Reading, 'boot' | 'seq'>[],
    samples: readonly Sample[],
  ): Promise<number> => {
    counters.samples += samples.length;
    const received: { deviceId: string; boot: string; seqs: number[] }[] = [];
    for (const { boot, seq } of readings) {
      if (seq === undefined || boot === undefined) continue;
      const known = received.find((one) => one.boot === boot);
      if (known) known.seqs.push(seq);
      else received.push({ deviceId, boot, seqs: [seq] });
    }
    const committed = log.append({ samples, received });
    for (const { boot, seqs } of received) sequences.await(deviceId, boot, seqs, committed);
    return committed;
  };

  /** Keeps a reading of a form some values of which are odd: each with its own quality. */
  const keepOdd = (
    { form, of }: KnownForm,
    timeMs: number,
    odd: Uint8Array,
    quality: QualityCode,
  ): Promise<unknown> => {
    const { series } = of;
    const { deviceId } = series;
    const samples = series.metrics.map((metric, i): Sample => {
      const code = odd[i] as QualityCode;
      if (code !== qualityCodes.good) find(deviceId, [{ metric }], () => qualityName(code));
      const value = series.value(i, form.values[i] as number);
      return { deviceId, metric, timeMs, value, quality: code === qualityCodes.good ? quality : code };
    });
    tellArrived(shown(samples));
    return keep(deviceId, [form], samples);
  };

  /** Takes a reading that was read by a form: what `take` does, without an object for each sample. */
  const takeFormed = (known: KnownForm): Promise<unknown> => {
    counters.publishes += 1;
    const { form } = known;
    const { boot, seq } = form;
    const { series, arrived: tell } = known.of;
    const { deviceId } = series;
    if (boot !== undefined && seq !== undefined) {
      const found = sequences.find(deviceId, boot, seq);
      if (found !== undefined) {
        counters.repeats += 1;
        return found === 'committed' ? nothingToKeep : found;
      }
    }
    const arrived = arrivalOfTurn();
    const dated = dating.dateOne(deviceId, form, arrived);
    const quality = markedQuality(dated);
    counters.readings += 1;
    const odd = oddities(series, form.values, dated.timeMs);
    if (odd) return keepOdd(known, dated.timeMs, odd, quality);
    counters.samples += series.metrics.length;
    try {
      tell(dated.timeMs, form.values, shownQuality(quality), arrived.nowMs);
    } catch (error) {
      logger.error('screens or rules failed over a reading; it is kept all the same', { error });
    }
    const { reading } = known.batch;
    reading.timeMs = dated.timeMs;
    reading.quality = quality;
    reading.seq = seq;
    const committed = log.append(known.batch);
    if (boot !== undefined && seq !== undefined) {
      known.seqs[0] = seq;
      sequences.await(deviceId, boot, known.seqs, committed);
    }
    return committed;
  };

  const forms = new Map<string, NodeForms>();
  const formsOf = (deviceId: string): NodeForms => {
    let known = forms.get(deviceId);
    if (!known) forms.set(deviceId, (known = new NodeForms(deviceId, options.arrivals)));
    return known;
  };

  /** Takes a payload in full, and remembers its form for the next one. */
  const telemetry = (deviceId: string, payload: Uint8Array): Promise<unknown> => {
    const parsed = parseTelemetryText(textOf(payload));
    const leftBefore = counters.findings.too_many_series;
    const taken = take(deviceId, parsed);
    // A form takes all its series: one of which a series was not admitted goes the full way.
    if (counters.findings.too_many_series === leftBefore) formsOf(deviceId).learn(payload, 0, payload.length, parsed);
    return taken;
  };

  const telemetryOf = (deviceId: string) => {
    const known = formsOf(deviceId);
    return (bytes: Uint8Array, from: number, to: number): Promise<unknown> | undefined => {
      const form = known.read(bytes, from, to);
      return form && takeFormed(form);
    };
  };

  return {
    counters,
    telemetry,
    telemetryOf,
    parsed: take,
    async driver({ deviceId, timeMs, values }) {
      const samples: Sample[] = [];
      const good = markedQuality({ quality: qualityCodes.good, byGateway: true });
      for (const [metric, raw] of Object.entries(values)) {
        const { value, finding } = toMetricValue(metric, raw);
        if (finding) find(deviceId, [finding], () => finding.code);
        const at = Math.round(timeMs);
        samples.push({ deviceId, timeMs: at, ...value, quality: judged(deviceId, value, at, good) });
      }
      if (samples.length === 0) return;
      counters.readings += 1;
      counters.samples += samples.length;
      tellArrived(shown(samples));
      await log.append({ samples });
    },
  };
}
