/**
 * One village, its cloud and their misfortunes, from a seed, in virtual time, with the real gateway and the real cloud.
 * `SEED=n` runs that seed alone and tells all that happened; `SEEDS` and `DAYS` set how many and how long. The full form
 * (`npm run soak -- world/test/simulation.test.ts`) runs 1,000 seeds of 30 days.
 */
import { realClock } from '@villagrid/runtime';
import t, { type Test } from 'tap';
import { calm, runVillage, type Fate, type Outcome, type WrongParts } from './simulation/village.js';

const full = process.env.VILLAGRID_SOAK === 'full';
const days = Number(process.env.DAYS ?? (full ? 30 : 2));
/** Seeds are run one after the other as long as there is time: at least a few, whatever the machine. */
const seeds = Number(process.env.SEEDS ?? (full ? 1000 : 300));
const leastSeeds = 3;
const withinMs = full ? Number.POSITIVE_INFINITY : 45_000;
const linesTold = 60;

t.setTimeout(full ? 0 : 220_000);

function tell(t: Test, outcome: Outcome): void {
  t.comment(`seed ${outcome.seed} of ${days} days; alone: SEED=${outcome.seed} DAYS=${days}`);
  for (const line of outcome.trace.slice(-linesTold)) t.comment(line);
}

const only = process.env.SEED;
if (only !== undefined) {
  t.test(`seed ${only} is whole at the end`, async (t) => {
    const outcome = await runVillage(Number(only), { days });
    for (const line of outcome.trace) t.comment(line);
    t.comment(JSON.stringify(outcome.counts));
    t.same(outcome.problems, []);
  });
} else {
  t.test('whatever befalls a village, nothing is lost and both ends agree once everything heals', async (t) => {
    const clock = realClock();
    const beganMs = clock.monotonicMs();
    let ran = 0;
    while (ran < seeds && (ran < leastSeeds || clock.monotonicMs() - beganMs < withinMs)) {
      ran += 1;
      const outcome = await runVillage(ran, { days });
      if (outcome.problems.length > 0) tell(t, outcome);
      t.same(outcome.problems, [], `seed ${ran}`);
    }
    t.comment(`${ran} seeds of ${days} days in ${((clock.monotonicMs() - beganMs) / 1000).toFixed(0)} s`);
  });

  t.test('the same seed gives the same history', async (t) => {
    const [one, other] = [await runVillage(4, { days: 0.5 }), await runVillage(4, { days: 0.5 })];
    t.same(one.trace, other.trace);
    t.equal(one.traceHash, other.traceHash);
    t.same(one.counts, other.counts);
  });

  /** Kills and little else, a few hours long: what a planted bug does shows soon. */
  const hard: Fate = {
    ...calm,
    speed: 120,
    holdMs: 1000,
    gatherS: 900,
    radio: { loss: 0.05, ackLoss: 0.1, twice: 0.1 },
    everyH: { ...calm.everyH, gatewayKill: 2, nodeReboot: 3, cut: 4, act: 0 },
  };
  const numbersSeen = new Set<string>();
  const planted: Readonly<Record<string, { readonly wrong: WrongParts; readonly shows: RegExp }>> = {
    'readings acknowledged before their commit': {
      wrong: {
        gateway(gateway) {
          const { log } = gateway;
          const append = log.append.bind(log);
          log.append = (batch, options) => {
            void append(batch, options).catch(() => {});
            return Promise.resolve(log.newestNumber() + 1);
          };
          return gateway;
        },
      },
      shows: /acknowledged readings are not in the log/,
    },
    'a receipt that is forgotten': {
      wrong: {
        gateway(gateway) {
          gateway.log.setCursor = () => {};
          return gateway;
        },
      },
      shows: /the receipt is kept up to/,
    },
    'readings told apart by their number alone, whatever boot they are of': {
      wrong: {
        gateway(gateway) {
          const isNew = (deviceId: string, { seq }: { readonly seq: number }) => {
            const key = `${deviceId} ${seq}`;
            return !numbersSeen.has(key) && numbersSeen.add(key);
          };
          const telemetry = (deviceId: string, payload: Uint8Array): Promise<unknown> => {
            const message = JSON.parse(new TextDecoder().decode(payload)) as {
              boot: string;
              seq: number;
              readings?: { seq: number }[];
            };
            const readings = (message.readings ?? [message]).filter((one) => isNew(deviceId, one));
            const rest = { v: 1, boot: message.boot, readings };
            return readings.length === 0
              ? Promise.resolve()
              : gateway.devices.telemetry(deviceId, new TextEncoder().encode(JSON.stringify(rest)));
          };
          return { ...gateway, devices: { ...gateway.devices, telemetryOf: () => () => undefined, telemetry } };
        },
      },
      shows: /acknowledged readings are not in the log/,
    },
  };
  for (const [what, { wrong, shows }] of Object.entries(planted))
    t.test(`a planted bug is found: ${what}`, async (t) => {
      let found: Outcome | undefined;
      let seed = 0;
      while (found === undefined && seed < 20) {
        seed += 1;
        numbersSeen.clear();
        const outcome = await runVillage(seed, { days: 0.3, fate: hard, wrong });
        if (outcome.problems.some((one) => shows.test(one))) found = outcome;
      }
      t.ok(found, `found by seed ${seed}`);
      t.same((await runVillage(seed, { days: 0.3, fate: hard })).problems, [], 'and without it that seed is whole');
    });
}
