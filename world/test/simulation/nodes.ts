/** A node of the simulation: measures once a minute, keeps what was not acknowledged, and sends that again. */
import type { RandomSource, Timer } from '@villagrid/contracts';
import type { VirtualTime } from './virtual-time.js';

interface Kept {
  readonly seq: number;
  readonly up: number;
  readonly metrics: Readonly<Record<string, number>>;
}

/** Where a node's messages go: undefined while nobody is there; resolves when it is acknowledged. */
export type Intake = (deviceId: string, payload: Uint8Array) => Promise<unknown> | undefined;

/** How bad the village's own radio is; chances from 0 to 1. */
export interface RadioFaults {
  readonly loss: number;
  readonly ackLoss: number;
  readonly twice: number;
}

export interface NodeOptions {
  readonly deviceId: string;
  readonly time: VirtualTime;
  readonly random: RandomSource;
  /** Village time per real time, and between two readings, milliseconds of the village. */
  readonly speed: number;
  readonly periodMs: number;
  readonly measure: (count: number) => Readonly<Record<string, number>>;
  readonly intake: Intake;
  readonly produced: (key: string, count: number) => void;
  readonly acknowledged: (key: string) => void;
}

const mostKept = 1000;
const perMessage = 30;
const answerWithinMs = 15_000;

/** One node. */
export class VillageNode {
  faults: RadioFaults = { loss: 0, ackLoss: 0, twice: 0 };
  givenUp = 0;
  readonly #options: NodeOptions;
  #boot = '';
  #bootMs = 0;
  #seq = 0;
  #count = 0;
  #kept: Kept[] = [];
  #flight: number | undefined;
  #sendings = 0;
  #sampling: Timer | undefined;

  constructor(options: NodeOptions) {
    this.#options = options;
  }

  /** Readings that wait for their acknowledgement. */
  get waiting(): number {
    return this.#kept.length;
  }

  /** Begins a boot: what was kept of the one before is lost. */
  powerOn(): void {
    const { time, random, speed, periodMs } = this.#options;
    this.powerOff();
    this.#boot = Buffer.from(random.bytes(4)).toString('hex');
    this.#bootMs = time.ms * speed;
    this.#seq = 0;
    const sample = () => {
      this.#sampling = time.after(periodMs / speed, sample);
      this.#sample();
    };
    this.#sampling = time.after((periodMs / speed) * random.float(), sample);
  }

  powerOff(): void {
    this.stop();
    this.#kept = [];
    this.#flight = undefined;
  }

  /** Measures no more; what it keeps it still sends. */
  stop(): void {
    this.#sampling?.cancel();
    this.#sampling = undefined;
  }

  #sample(): void {
    const { deviceId, time, speed, measure, produced } = this.#options;
    this.#seq += 1;
    this.#count += 1;
    produced(`${deviceId} ${this.#boot} ${this.#seq}`, this.#count);
    this.#kept.push({ seq: this.#seq, up: Math.round(time.ms * speed - this.#bootMs), metrics: measure(this.#count) });
    if (this.#kept.length > mostKept) {
      this.#kept.shift();
      this.givenUp += 1;
    }
    this.#send();
  }

  #send(): void {
    if (this.#flight !== undefined || this.#kept.length === 0) return;
    const { deviceId, time, random, intake, acknowledged } = this.#options;
    const readings = this.#kept.slice(0, perMessage);
    const boot = this.#boot;
    const [only] = readings;
    const message = readings.length === 1 ? { v: 1, boot, ...only } : { v: 1, boot, readings };
    const payload = new TextEncoder().encode(JSON.stringify(message));
    const flight = (this.#flight = ++this.#sendings);
    const arrive = () => {
      const taken = intake(deviceId, payload);
      taken?.then(
        () => {
          for (const { seq } of readings) acknowledged(`${deviceId} ${boot} ${seq}`);
          if (random.float() < this.faults.ackLoss) return;
          if (this.#flight !== flight || this.#boot !== boot) return;
          this.#flight = undefined;
          const last = readings.at(-1)?.seq ?? 0;
          this.#kept = this.#kept.filter(({ seq }) => seq > last);
          this.#send();
        },
        () => {},
      );
    };
    if (random.float() >= this.faults.loss) time.after(5 + 20 * random.float(), arrive);
    if (random.float() < this.faults.twice) time.after(5 + 5000 * random.float(), arrive);
    time.after(answerWithinMs, () => {
      if (this.#flight !== flight) return;
      this.#flight = undefined;
      this.#send();
    });
  }
}
