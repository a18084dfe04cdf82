/** A whole `npm run bench`, without argv and exit: finds the benches, runs them, prints the table, writes the results. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { messageOf } from '@villagrid/contracts';
import type { Bench } from './bench.js';
import { findBenches } from './discover.js';
import { measure } from './measure.js';
import { help, readOptions, type BenchOptions } from './options.js';
import type { Processes } from './processes.js';
import { resultOf, tableOf, type Result, type Runs } from './results.js';

export interface BenchPorts {
  /** The clone whose benches are run. */
  readonly root: string;
  print(text: string): void;
  /** Progress. */
  say(text: string): void;
  /** Told of the processes of each run, so that whoever is interrupted can end them. */
  onProcesses?(processes: Processes | undefined): void;
}

/** Runs a command line; resolves with the exit code: 1 when a bench failed, 2 for a wrong command line. */
export async function runBench(words: readonly string[], ports: BenchPorts): Promise<number> {
  const { root, print, say } = ports;
  let options: BenchOptions;
  let benches: readonly Bench[];
  try {
    options = readOptions(words, join(root, 'tmp/bench'));
    if (options.help) {
      print(help);
      return 0;
    }
    benches = await findBenches(root, options.only);
    if (benches.length === 0) throw new Error(`--only ${options.only}: no bench has an id that begins so; see --list.`);
  } catch (error) {
    say(`${messageOf(error)}\n\n${help}`);
    return 2;
  }
  if (options.list) {
    for (const { id, unit, what } of benches) print(`${id} (${unit})\n    ${what}`);
    return 0;
  }

  const folder = resolve(options.data);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const date = new Date().toISOString();
  const machine = machineFacts();
  const results: Result[] = [];
  /** Every single value, of limits and peers too. */
  const details: Record<string, Runs> = {};
  let failed = 0;
  for (const bench of benches) {
    say(`\n${bench.id}: ${bench.what}`);
    try {
      const runs = await measure(bench, {
        rounds: options.runs,
        folder: join(folder, bench.id),
        kept: join(folder, 'kept'),
        peers: options.peers === undefined ? undefined : resolve(options.peers),
        profile: options.profile === undefined ? undefined : resolve(options.profile),
        say,
        onProcesses: (processes) => ports.onProcesses?.(processes),
      });
      if (runs === undefined) continue;
      details[bench.id] = runs;
      results.push(resultOf(bench, runs));
    } catch (error) {
      failed += 1;
      say(`  FAILED: ${messageOf(error)}`);
    }
  }
  print(`\n${tableOf(results)}`);
  if (options.json !== undefined) {
    writeFileSync(resolve(options.json), `${JSON.stringify({ results, date, machine, details }, null, 2)}\n`);
    say(`\nThe results are in ${options.json}`);
  }
  return failed > 0 ? 1 : 0;
}

/** What a reader of the results must know of the machine. */
function machineFacts() {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memory_gib: Math.round(totalmem() / 2 ** 30),
    system: `${process.platform} ${release()} ${process.arch}`,
    node: process.version,
    load_before: loadavg().map((one) => Math.round(one * 100) / 100),
  };
}
