/** Runs one bench: all contestants in turn, round after round. */
import { messageOf } from '@villagrid/contracts';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Bench, Contestant, Figure } from './bench.js';
import { Processes } from './processes.js';
import type { Runs } from './results.js';

export interface MeasureOptions {
  /** Rounds; each contestant runs once in each. */
  readonly rounds: number;
  /** Where runs keep their files while they run. */
  readonly folder: string;
  /** Where peers' software is installed. */
  readonly peers?: string | undefined;
  /** Where data that take long to make stay between runs. */
  readonly kept: string;
  /** Folder for CPU profiles of our own processes. */
  readonly profile?: string | undefined;
  readonly say: (text: string) => void;
  /** Told of the processes of each run, so that whoever is interrupted can end them. */
  readonly onProcesses?: (processes: Processes | undefined) => void;
}

/**
 * Measures a bench; undefined, said why, when it cannot be measured here. Throws when it or its limit fails, keeping that
 * run's files; a peer that fails is left out.
 * Contestants take turns within each round, and each round begins with another one.
 */
export async function measure(bench: Bench, options: MeasureOptions): Promise<Runs | undefined> {
  const { rounds, say } = options;
  const own: number[] = [];
  const limit: number[] = [];
  const peers: Record<string, number[]> = {};
  const beside: Record<string, Figure['beside'][]> = {};
  const field: { name: string; contestant: Contestant; values: number[]; peer: boolean }[] = [];
  const enter = (name: string, contestant: Contestant, values: number[], peer: boolean) => {
    const missing = contestant.missing?.({ peers: options.peers });
    if (missing === undefined) field.push({ name, contestant, values, peer });
    else if (peer) say(`  ${name}: skipped. ${missing}`);
    else throw new Error(`${name}: ${missing}`);
  };
  const unable = bench.own.missing?.({ peers: options.peers });
  if (unable !== undefined) {
    say(`  skipped. ${unable}`);
    return undefined;
  }
  enter('villagrid', bench.own, own, false);
  if (bench.limit) enter('limit', bench.limit, limit, false);
  for (const [name, contestant] of Object.entries(bench.peers ?? {})) enter(name, contestant, (peers[name] = []), true);

  for (let round = 0; round < rounds; round += 1) {
    const order = field.map((_, index) => field[(index + round) % field.length]).filter((one) => one !== undefined);
    for (const one of order) {
      try {
        const figure = await lap(one.contestant, one.name);
        one.values.push(figure.value);
        (beside[one.name] ??= []).push(figure.beside);
        const others = Object.entries(figure.beside).map(([name, value]) => `${name} ${short(value)}`);
        say(
          `  run ${round + 1} of ${rounds}  ${one.name.padEnd(12)} ${short(figure.value)} ${bench.unit}${others.length > 0 ? `  (${others.join(', ')})` : ''}`,
        );
      } catch (error) {
        if (!one.peer) throw error;
        say(`  ${one.name}: left out. ${messageOf(error)}`);
        field.splice(field.indexOf(one), 1);
        one.values.length = 0;
      }
    }
  }
  return { own, limit, peers, beside };

  async function lap(contestant: Contestant, name: string): Promise<Figure> {
    const folder = join(options.folder, name);
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const processes = new Processes(folder);
    options.onProcesses?.(processes);
    try {
      const { profile, kept, peers: installed } = options;
      const given = await contestant.run({ folder, processes, profile, kept, peers: installed });
      const figure = typeof given === 'number' ? { value: given, beside: {} } : given;
      if (!Number.isFinite(figure.value)) throw new Error(`the figure is ${figure.value}`);
      rmSync(folder, { recursive: true, force: true });
      return figure;
    } finally {
      processes.killAll();
      options.onProcesses?.(undefined);
    }
  }
}

const short = (value: number): number => Math.round(value * 100) / 100;
