/** What a gateway writes to its card, and what it keeps there, per sample of the reference village. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Bench, Lap } from '@villagrid/tools/bench';
import { setSetting } from '@villagrid/provisioning';
import { openDatabase } from '@villagrid/runtime';
import { makeGatewayFolder, type GatewayFolder } from './gateway-folder.js';
import { startGateway, startProgram, type GatewayProcess } from './gateway-process.js';
import type { VillageLoadReport, VillageLoadSettings } from './village-load.js';

const deviceCount = 10;
const metricsPerReading = 12;
const periodMs = 5000;
const holdMs = 5000;
const samplesPerDay = (86_400_000 / periodMs) * deviceCount * metricsPerReading;

/** Village time per real time of the run on a block device, and how long it lives there: hours are sealed within it. */
const deviceSpeed = 60;
const deviceMinutes = 75;
/** The same of the month: two days are lived, of which the second one is what a day more takes. */
const monthSpeed = 960;
const monthDays = 30;

/** A gateway whose commits are held for 5 s of the village's time. */
const heldGateway = (folder: string, speed: number): Promise<GatewayFolder> =>
  makeGatewayFolder(folder, {
    devices: deviceCount,
    speed,
    settings: { log: { hold_ms: Math.max(1, Math.round(holdMs / speed)) } },
  });

function startVillage(lap: Lap, running: GatewayProcess, gateway: GatewayFolder, speed: number, villageMs: number) {
  const messages = Math.round(villageMs / periodMs);
  const settings: VillageLoadSettings = { port: running.mqtt, devices: gateway.devices, speed, messages };
  const load = startProgram(lap, 'village-load', settings);
  return {
    begun: load.next('village', 30_000),
    /** Gives the samples, all of them acknowledged. */
    async done(): Promise<number> {
      const wanted = messages * deviceCount;
      const { acknowledged } = (await load.next('village', 900_000)) as unknown as VillageLoadReport;
      if (acknowledged !== wanted) throw new Error(`${acknowledged} of ${wanted} messages were acknowledged`);
      return wanted * metricsPerReading;
    },
  };
}

function run(command: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`);
  return stdout.trim();
}

function noBlockDevice(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    return 'It needs Linux and root, for a file system of its own on a loop device.';
  if (spawnSync('losetup', ['--find'], { encoding: 'utf8' }).status !== 0) return 'There is no loop device here.';
  return spawnSync('mkfs.ext4', ['-V']).status === 0 ? undefined : 'mkfs.ext4 is not installed: e2fsprogs.';
}

/** Bytes that reached a block device since it was made. */
const bytesWritten = (device: string): number =>
  Number(
    readFileSync(`/sys/block/${basename(device)}/stat`, 'utf8')
      .trim()
      .split(/\s+/)[6],
  ) * 512;

async function atTheDevice(lap: Lap) {
  const image = join(lap.folder, 'card.img');
  const mount = join(lap.folder, 'card');
  mkdirSync(mount);
  writeFileSync(image, '');
  run('truncate', '--size', '512M', image);
  run('mkfs.ext4', '-q', image);
  const device = run('losetup', '--find', '--show', image);
  try {
    // All structures of the file system are made now and not later.
    run('mount', '-o', 'noatime,init_itable=0', device, mount);
    try {
      const gateway = await heldGateway(join(lap.folder, 'gateway'), deviceSpeed);
      setSetting(gateway.config, ['data_dir'], join(mount, 'data'));
      run('cp', '-a', gateway.dataDirectory, join(mount, 'data'));
      const running = await startGateway(lap, { ...gateway, dataDirectory: join(mount, 'data') }, { bare: true });
      await new Promise((resolve) => setTimeout(resolve, 10_000));
      run('sync', '--file-system', mount);
      const before = bytesWritten(device);
      const village = startVillage(lap, running, gateway, deviceSpeed, deviceMinutes * 60_000);
      await village.begun;
      const samples = await village.done();
      run('sync', '--file-system', mount);
      const written = bytesWritten(device) - before;
      await running.running.end('SIGTERM');
      return { value: written / samples, beside: { mb: written / 1e6, samples } };
    } finally {
      // Whatever failed, nothing may be left that holds the file system.
      lap.processes.killAll();
      await new Promise((resolve) => setTimeout(resolve, 500));
      run('umount', mount);
    }
  } finally {
    run('losetup', '--detach', device);
  }
}

/** Bytes of a data folder: all of it without the ballast, which is room and no data; the log's; pages of the history in use. */
function sizes(folder: string): { all: number; history: number; log: number } {
  const bytes = (of: (name: string) => boolean) =>
    readdirSync(folder)
      .filter((name) => name !== 'ballast' && of(name) && statSync(join(folder, name)).isFile())
      .reduce((sum, name) => sum + statSync(join(folder, name)).blocks * 512, 0);
  const database = openDatabase({ path: join(folder, 'telemetry.db'), readonly: true });
  try {
    const pragma = (name: string) => Number(database.pragma(name, { simple: true }));
    // Pages that packed hours have left are used by the next day; the write-ahead log has its bound.
    const history = (pragma('page_count') - pragma('freelist_count')) * pragma('page_size');
    return { all: bytes(() => true), history, log: bytes((name) => name.startsWith('log.')) };
  } finally {
    database.close();
  }
}

async function afterAMonth(lap: Lap) {
  const gateway = await heldGateway(join(lap.folder, 'gateway'), monthSpeed);
  const running = await startGateway(lap, gateway, { bare: true });
  const dayMs = 86_400_000;
  const village = startVillage(lap, running, gateway, monthSpeed, 2 * dayMs);
  await village.begun;
  const beganMs = performance.now();
  const untilDay = async (day: number) => {
    // A tenth of a day later, when its hours are packed.
    const leftMs = beganMs + ((day + 0.1) * dayMs) / monthSpeed - performance.now();
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, leftMs)));
    return sizes(gateway.dataDirectory);
  };
  const one = await untilDay(1);
  const samples = await village.done();
  if (samples !== 2 * samplesPerDay) throw new Error(`${samples} samples of two days`);
  const two = await untilDay(2);
  await running.running.end('SIGTERM');
  const dayMore = two.history - one.history;
  const month = two.all + (monthDays - 2) * dayMore;
  return {
    value: month / (monthDays * samplesPerDay),
    beside: { day_more_per_sample: dayMore / samplesPerDay, month_mb: month / 1e6, log_mb: two.log / 1e6 },
  };
}

export const benches: readonly Bench[] = [
  {
    id: 'gateway.disk.written',
    unit: 'B/sample',
    what: `Bytes that reach the block device per sample, the file system's own included: reference village at ${deviceSpeed} times its pace for ${deviceMinutes} minutes of it, commits held for 5 s of it.`,
    own: { what: 'the gateway as villagrid init makes it', missing: noBlockDevice, run: atTheDevice },
  },
  {
    id: 'gateway.disk.kept',
    unit: 'B/sample',
    what: `Bytes on the disk per sample after ${monthDays} days of the reference village, log, settings and history: two days lived at ${monthSpeed} times their pace, the others as the second.`,
    own: { what: 'the gateway as villagrid init makes it', run: afterAMonth },
  },
];
