/**
 * Nodes that keep the topics and messages of their own firmware: which login may write where, and what a message says.
 * A login writes below its own devices' topics only; what its firmware writes beside them is taken and dropped.
 */
import { isMetricIdForm, metricDefinition, VillagridError, type ParsedTelemetry } from '@villagrid/contracts';
import type { MqttDeviceConfig } from '../config/schema.js';
import {
  compileMapping,
  covers,
  matches,
  meet,
  withDefaults,
  type CompiledCommand,
  type CompiledMapping,
  type Mapping,
} from '../mappings/index.js';

/** What mapped nodes say goes here; a promise resolves when the publish may be acknowledged. */
export interface MappedSink {
  reading(deviceId: string, parsed: ParsedTelemetry): Promise<unknown>;
  link(deviceId: string, state: 'up' | 'down'): Promise<unknown>;
  /** Something was said where the device answers commands. */
  answer(deviceId: string, topic: string, payload: string): void;
}

/** The topics of mapped nodes, as the broker asks for them; each call is about a login's device id. */
export interface MappedNodes {
  mayPublish(login: string, topic: string): boolean;
  maySubscribe(login: string, filter: string): boolean;
  /** Whether a topic carries readings or link states, which nobody may subscribe to. */
  isTaken(login: string, topic: string): boolean;
  publish(login: string, topic: string, payload: Uint8Array): Promise<unknown>;
  /** Devices whose link is the connection of a login. */
  devicesOf(login: string): readonly string[];
  /** Commands that the settings allow, by device. */
  readonly commands: ReadonlyMap<string, readonly CompiledCommand[]>;
  /** Messages of no interest since the start. */
  ignored(): number;
}

interface Bound {
  readonly deviceId: string;
  readonly compiled: CompiledMapping;
}

const nothing = Promise.resolve();
const nobody: readonly Bound[] = [];

/** Binds devices to their mappings. Throws E_CONFIG_INVALID naming the device and what is wrong. */
export function createMappedNodes(
  devices: readonly MqttDeviceConfig[],
  mappings: ReadonlyMap<string, Mapping>,
  sink: MappedSink,
): MappedNodes {
  const problems: string[] = [];
  const byLogin = new Map<string, Bound[]>();
  const commands = new Map<string, readonly CompiledCommand[]>();
  for (const [index, device] of devices.entries()) {
    const where = `mqtt_devices.devices[${index}] (${device.device_id})`;
    const mapping = mappings.get(device.mapping);
    if (!mapping) {
      problems.push(`${where}: there is no mapping "${device.mapping}"`);
      continue;
    }
    const parameters = parametersOf(device, mapping);
    problems.push(...deviceProblems(device, mapping, parameters).map((one) => `${where}: ${one}`));
    const login = device.login ?? device.device_id;
    const bound = { deviceId: device.device_id, compiled: compileMapping(mapping, parameters, device.metrics) };
    commands.set(
      device.device_id,
      bound.compiled.commands.filter(({ spec }) => device.commands.includes(spec.name)),
    );
    byLogin.set(login, [...(byLogin.get(login) ?? []), bound]);
  }
  problems.push(...clashes(byLogin));
  if (problems.length > 0) throw new VillagridError('E_CONFIG_INVALID', problems.map((one) => `${one}.`).join('\n'));
  let ignored = 0;
  const boundTo = (login: string): readonly Bound[] => byLogin.get(login) ?? nobody;
  return {
    mayPublish: (login, topic) =>
      boundTo(login).some(
        ({ compiled }) =>
          compiled.publishes.some((filter) => matches(filter, topic)) ||
          compiled.tolerates.some((filter) => matches(filter, topic)),
      ),
    maySubscribe: (login, filter) =>
      boundTo(login).some(({ compiled }) => compiled.subscribes.some((one) => covers(one, filter))),
    isTaken: (login, topic) =>
      boundTo(login).some(({ compiled }) => compiled.takes.some((filter) => matches(filter, topic))),
    publish(login, topic, payload) {
      const waits: Promise<unknown>[] = [];
      let text: string | undefined;
      for (const { deviceId, compiled } of boundTo(login)) {
        if (!compiled.takes.some((filter) => matches(filter, topic))) continue;
        text ??= Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('utf8');
        if (compiled.commands.some(({ answerTopic }) => answerTopic === topic)) sink.answer(deviceId, topic, text);
        const said = compiled.read(topic, text);
        if (said.kind === 'link') waits.push(sink.link(deviceId, said.state));
        else if (said.kind === 'reading') waits.push(sink.reading(deviceId, said.parsed));
      }
      if (waits.length === 0) ignored += 1;
      // One promise for all of a commit costs the broker little; see runtime's onPublish.
      return waits.length > 1 ? Promise.all(waits) : (waits[0] ?? nothing);
    },
    devicesOf: (login) => boundTo(login).map(({ deviceId }) => deviceId),
    commands,
    ignored: () => ignored,
  };
}

function parametersOf(device: MqttDeviceConfig, mapping: Mapping): Readonly<Record<string, string>> {
  const named = Object.hasOwn(mapping.parameters, 'node') ? { node: device.node ?? device.device_id } : {};
  return withDefaults(mapping, { ...named, ...device.parameters });
}

function deviceProblems(
  device: MqttDeviceConfig,
  mapping: Mapping,
  parameters: Readonly<Record<string, string>>,
): string[] {
  const problems: string[] = [];
  for (const [name, { help }] of Object.entries(mapping.parameters))
    if (!Object.hasOwn(parameters, name)) problems.push(`give parameters.${name} (${help})`);
  for (const [name, value] of Object.entries(parameters)) {
    if (!Object.hasOwn(mapping.parameters, name)) problems.push(`mapping ${mapping.id} has no parameter "${name}"`);
    if (/[+#\0{}]|^\/|\/$|\/\/|^\$/.test(value)) problems.push(`"${value}" as ${name} cannot be part of a topic`);
  }
  const offered = mapping.commands.map(({ name }) => name);
  for (const name of device.commands)
    if (!offered.includes(name))
      problems.push(`commands: mapping ${mapping.id} has no command "${name}" (${offered.join(', ') || 'none'})`);
  const given = new Set(mapping.messages.flatMap(({ values }) => values.map(({ metric }) => metric)));
  for (const [from, to] of Object.entries(device.metrics)) {
    if (!given.has(from)) {
      problems.push(`metrics.${from}: mapping ${mapping.id} does not give it (${[...given].join(', ')})`);
      continue;
    }
    if (to === null) continue;
    const target = isMetricIdForm(to.metric) ? metricDefinition(to.metric) : undefined;
    if (!target) problems.push(`metrics.${from}: "${to.metric}" is not in the metric catalogue`);
    else if (target.unit !== metricDefinition(from)?.unit)
      problems.push(`metrics.${from}: ${to.metric} is in ${target.unit || 'states'}, not in the same unit`);
  }
  return problems;
}

/** Logins that could write each other's topics. */
function clashes(byLogin: ReadonlyMap<string, readonly Bound[]>): string[] {
  const all = [...byLogin].flatMap(([login, bound]) => bound.map((one) => ({ login, ...one })));
  const found: string[] = [];
  for (const [index, one] of all.entries())
    for (const other of all.slice(index + 1)) {
      if (one.login === other.login) continue;
      const pair = one.compiled.publishes
        .flatMap((a) => other.compiled.publishes.map((b) => [a, b] as const))
        .find(([a, b]) => meet(a, b));
      if (pair)
        found.push(
          `mqtt_devices: ${one.deviceId} and ${other.deviceId} would write to the same topics (${pair[0]} and ${pair[1]}); give each node a name of its own`,
        );
    }
  return found;
}
