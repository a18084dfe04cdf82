/** One running village: the model, its nodes, its Modbus devices and its road to the cloud. */
import type { Clock, RandomSource } from '@villagrid/contracts';
import type { Logger } from '@villagrid/runtime';
import type { GridConfig } from './config.js';
import { type ActiveFault, createStickingSensors, type FaultName, faultCatalogue } from './faults/faults.js';
import { clearRoad, slowRoad, startWanProxy, type WanProxy } from './link/wan-proxy.js';
import { type ModbusDevice, startModbusDevice } from './modbus/device.js';
import { type RunningLineDevice, startLine, type VirtualLine } from './modbus/line.js';
import { registerMap } from './modbus/maps.js';
import { createNode, type VirtualNode } from './nodes/node.js';
import { type ProfileId, villageDevices, villageLine } from './reference/devices.js';
import { villageSignals, type Values } from './reference/signals.js';
import { readSaved, stateFile, writeSaved } from './state-file.js';
import type { MeasuredData } from './village/measured.js';
import { hashNumbers, hashText } from './village/noise.js';
import { inverterId } from './village/plant.js';
import { createVillage } from './village/village.js';

/** What all villages of a simulator share. */
export interface GridContext {
  readonly seed: number;
  readonly stateDir: string;
  readonly villageClock: Clock;
  readonly realClock: Clock;
  readonly random: RandomSource;
  readonly measured: MeasuredData;
  readonly log: Logger;
  /** The certificate authority of the grid's broker, PEM. */
  readonly ca: string | undefined;
  /** Real ms without acknowledgement after which a node sends again. */
  readonly ackTimeoutMs?: number;
}

/** A fault to switch. */
export interface FaultSwitch {
  readonly name: FaultName;
  readonly deviceId?: string;
  readonly metric?: string;
  readonly on: boolean;
}

/** A running village. */
export interface RunningGrid {
  readonly gridId: string;
  readonly ports: {
    readonly modbus: Readonly<Record<string, number>>;
    /** Name of the serial line. */
    readonly line: string | undefined;
    readonly wan: number | undefined;
  };
  status(): Record<string, unknown>;
  /** Switches a fault; throws an error that says what would fit. */
  setFault(change: FaultSwitch): void;
  save(): void;
  stop(): Promise<void>;
}

const slowAnswerMs = 3000;

/** Starts a village and everything that speaks for it. */
export async function startGrid(config: GridConfig, context: GridContext): Promise<RunningGrid> {
  const { villageClock, realClock, random, log } = context;
  const { gridId } = config;
  const file = stateFile(context.stateDir, gridId);
  const saved = readSaved(file, config.name, context.seed);
  const boots: Record<string, number> = { ...saved?.boots };
  const village = createVillage({
    name: config.name,
    seed: context.seed,
    measured: context.measured,
    plant: config.plant,
    place: { latitude: config.latitude, longitude: config.longitude, zone: config.zone },
    startMs: villageClock.nowMs(),
    ...(saved === undefined ? {} : { state: saved.state }),
  });
  const live = () => {
    village.advanceTo(villageClock.nowMs());
    return village.snapshot();
  };
  const sticking = createStickingSensors();
  const signals = villageSignals(config.plant);
  const read = (deviceId: string): Values => sticking.apply(deviceId, signals.get(deviceId)?.(live()) ?? {});

  const devices = villageDevices();
  // A boot id is never used twice, even when the state file is lost: the real time is mixed in.
  const newBootId = (deviceId: string): string => {
    const count = (boots[deviceId] ?? 0) + 1;
    boots[deviceId] = count;
    const nowMs = realClock.nowMs();
    const mixed = hashNumbers(hashText(`${gridId}/${deviceId}`), count, nowMs % 2 ** 31, Math.floor(nowMs / 2 ** 31));
    return `${count.toString(36)}${mixed.toString(36)}`;
  };

  const nodes = new Map<string, VirtualNode>();
  for (const credential of config.mqtt.nodes) {
    const device = devices.find((one) => one.device_id === credential.deviceId);
    if (device?.protocol !== 'mqtt' || !device.simulated) {
      log.warn('no virtual node has this id; left out', { device: credential.deviceId });
      continue;
    }
    nodes.set(
      credential.deviceId,
      createNode({
        gridId,
        deviceId: credential.deviceId,
        endpoint: {
          host: config.mqtt.host,
          port: config.mqtt.port,
          username: credential.username,
          password: credential.password,
          ...(context.ca === undefined ? {} : { ca: context.ca }),
        },
        periodMs: device.period_s * 1000 * config.mqtt.periodFactor,
        hasClock: device.clock === true,
        sample: () => read(credential.deviceId),
        newBootId: () => newBootId(credential.deviceId),
        villageClock,
        realClock,
        random,
        log,
        ...(context.ackTimeoutMs === undefined ? {} : { ackTimeoutMs: context.ackTimeoutMs }),
      }),
    );
  }

  const modbus = new Map<string, ModbusDevice>();
  let line: VirtualLine | undefined;
  const profileOf = (deviceId: string): ProfileId | undefined => {
    const known = [...devices, ...villageLine.strangers].find((one) => one.device_id === deviceId)?.profile;
    const isExtraInverter = signals.has(deviceId) && deviceId.startsWith('pv-inverter-');
    return known ?? (isExtraInverter ? 'sunspec-inverter' : undefined);
  };
  /** What a virtual device answers from; undefined where nobody knows it. */
  const mapOf = ({ deviceId, unit }: { readonly deviceId: string; readonly unit: number }) => {
    const profile = profileOf(deviceId);
    if (profile === undefined) {
      log.warn('no virtual Modbus device has this id; left out', { device: deviceId });
      return undefined;
    }
    const serial = `VG${hashText(`${gridId}/${deviceId}`).toString(16).toUpperCase()}`;
    return { map: registerMap(profile, { serial, unit }), values: () => read(deviceId) };
  };
  let wan: WanProxy | undefined;
  const stop = async (): Promise<void> => {
    saving.cancel();
    await Promise.all([...nodes.values()].map((node) => node.stop()));
    await Promise.all([...modbus.values()].map((device) => device.close()));
    await line?.close();
    await wan?.close();
    save();
  };
  const save = (): void => {
    live();
    writeSaved(file, { version: 1, name: config.name, seed: context.seed, boots, state: village.state() });
  };
  const saving = realClock.every(60_000, save);
  try {
    for (const place of config.modbus.devices) {
      const answers = mapOf(place);
      if (answers === undefined) continue;
      modbus.set(
        place.deviceId,
        await startModbusDevice({ ...place, host: config.modbus.host, ...answers, clock: realClock }),
      );
    }
    if (config.modbus.line !== undefined) {
      const onLine = config.modbus.line.devices.flatMap((place) => {
        const answers = mapOf(place);
        return answers === undefined ? [] : [{ ...place, ...answers }];
      });
      line = await startLine({ ...config.modbus.line, devices: onLine, clock: realClock });
    }
    if (config.wanProxy !== undefined) wan = await startWanProxy({ ...config.wanProxy, clock: realClock, random });
  } catch (error) {
    await stop();
    throw error;
  }
  for (const node of nodes.values()) node.start();
  save();

  const active = new Map<string, ActiveFault>();
  const pick = <T>(from: ReadonlyMap<string, T>, deviceId: string | undefined, what: string): T => {
    const found = deviceId === undefined ? undefined : from.get(deviceId);
    if (found === undefined) throw new Error(`Name ${what}: ${[...from.keys()].join(', ')}.`);
    return found;
  };
  /** Modbus devices that faults can be aimed at, whatever they hang on. */
  const asked = (): ReadonlyMap<string, ModbusDevice | RunningLineDevice> =>
    new Map<string, ModbusDevice | RunningLineDevice>([...modbus, ...(line?.devices ?? [])]);
  const needLine = (): VirtualLine => {
    if (line === undefined) throw new Error('This village has no serial line in its configuration.');
    return line;
  };
  const needWan = (): WanProxy => {
    if (wan === undefined) throw new Error('This village has no wan_proxy in its configuration.');
    return wan;
  };
  const inverterIds = new Map(Array.from({ length: config.plant.inverters }, (_, i) => [inverterId(i), inverterId(i)]));

  function setFault({ name, deviceId, metric, on }: FaultSwitch): void {
    const { target } = faultCatalogue[name];
    if (target === 'grid' && deviceId !== undefined)
      throw new Error(`${name} is a fault of the whole village: leave "${deviceId}" out.`);
    if (target !== 'device-metric' && metric !== undefined)
      throw new Error(`${name} takes no metric: leave "${metric}" out.`);
    switch (name) {
      case 'node-dies':
        pick(nodes, deviceId, 'a node').setDead(on);
        break;
      case 'node-floods':
        pick(nodes, deviceId, 'a node').setFlooding(on);
        break;
      case 'sensor-sticks': {
        pick(signals, deviceId, 'a device');
        const now = read(deviceId ?? '');
        if (metric !== undefined && now[metric] === undefined)
          throw new Error(`Name a metric: ${Object.keys(now).join(', ')}; or none for all.`);
        if (on) sticking.stick(deviceId ?? '', metric, now);
        else sticking.release(deviceId ?? '', metric);
        break;
      }
      case 'inverter-overheats':
      case 'inverter-trips': {
        const id = pick(inverterIds, deviceId, 'an inverter');
        const set = name === 'inverter-trips' ? village.faults.tripped : village.faults.overheating;
        live();
        if (on) set.add(id);
        else set.delete(id);
        break;
      }
      case 'battery-collapses':
        live();
        village.faults.batteryCollapsed = on;
        break;
      case 'device-silent':
        pick(asked(), deviceId, 'a Modbus device').silent = on;
        break;
      case 'device-slow':
        pick(asked(), deviceId, 'a Modbus device').slowMs = on ? slowAnswerMs : 0;
        break;
      case 'line-unplugged':
        needLine()
          .setPlugged(!on)
          .catch((error: unknown) => log.error('the serial line cannot be made', { error }));
        break;
      case 'wan-cut':
        needWan().set({ cut: on });
        break;
      case 'wan-slow':
        needWan().set(
          on ? slowRoad : { delayMs: clearRoad.delayMs, jitterMs: clearRoad.jitterMs, bytesPerS: clearRoad.bytesPerS },
        );
        break;
      case 'wan-half-open':
        needWan().set({ halfOpen: on });
        break;
    }
    const aimed = faultCatalogue[name].target === 'grid' ? undefined : deviceId;
    const key = `${name} ${aimed ?? ''} ${metric ?? ''}`;
    if (on) {
      active.set(key, {
        name,
        grid_id: gridId,
        ...(aimed === undefined ? {} : { device_id: aimed }),
        ...(metric === undefined ? {} : { metric }),
        since_ms: Math.round(villageClock.nowMs()),
      });
    } else active.delete(key);
    log.info(`fault ${name} ${on ? 'on' : 'off'}`, { grid: gridId, device: aimed, metric });
  }

  return {
    gridId,
    ports: {
      modbus: Object.fromEntries([...modbus].map(([id, device]) => [id, device.port])),
      line: line?.path,
      wan: wan?.port,
    },
    status: () => ({
      grid_id: gridId,
      name: config.name,
      village: live(),
      nodes: Object.fromEntries([...nodes].map(([id, node]) => [id, node.status()])),
      modbus: Object.fromEntries(
        [...modbus].map(([id, device]) => [
          id,
          { port: device.port, requests: device.requests(), silent: device.silent, slow_ms: device.slowMs },
        ]),
      ),
      ...(line === undefined
        ? {}
        : {
            line: {
              path: line.path,
              plugged: line.plugged,
              devices: Object.fromEntries(
                [...line.devices].map(([id, { unit, requests, silent, slowMs }]) => [
                  id,
                  { unit, requests: requests(), silent, slow_ms: slowMs },
                ]),
              ),
            },
          }),
      ...(wan === undefined ? {} : { wan: { port: wan.port, ...wan.condition(), ...wan.stats() } }),
      faults: [...active.values()],
    }),
    setFault,
    save,
    stop,
  };
}
