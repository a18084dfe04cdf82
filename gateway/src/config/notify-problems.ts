/** What is wrong between the settings of telling people that are each right; sentences without a full stop. */
import { parseHours } from '@villagrid/contracts';
import type { GatewayConfig } from './schema.js';

const emailForm = /^[^\s@<>,;"]+@[^\s@<>,;"]+$/;
const numberForm = /^\+[1-9]\d{6,14}$/;

export function* notifyProblems({ notify, modbus }: GatewayConfig): Generator<string> {
  if (!notify) return;
  const { people, sms, email, relay } = notify;
  const seen = new Set<string>();
  for (const [p, { name, hours, ways }] of people.entries()) {
    const where = `notify.people[${p}]`;
    if (seen.has(name)) yield `${where}.name: "${name}" is there more than once`;
    seen.add(name);
    yield* hoursProblems(`${where}.hours`, hours);
    for (const [w, { channel, to }] of ways.entries()) {
      const way = `${where}.ways[${w}]`;
      if (channel === 'sms' && !sms) yield `${way}.channel: sms needs a modem: set notify.sms.path`;
      if (channel === 'email' && !email) yield `${way}.channel: email needs a mail server: set notify.email`;
      if (channel === 'sms' && !numberForm.test(to))
        yield `${way}.to: "${to}" is no telephone number in the international form, such as "+255712345678" (in quotes)`;
      if (channel === 'email' && !emailForm.test(to)) yield `${way}.to: "${to}" is no e-mail address`;
    }
  }
  if (email && !emailForm.test(email.from)) yield `notify.email.from: "${email.from}" is no e-mail address`;
  if (relay && (relay.serial === undefined) === (relay.gpio === undefined))
    yield 'notify.relay: give either serial or gpio, and exactly one of them';
  yield* hoursProblems('notify.relay.hours', relay?.hours);
  const owners = new Map<string, string>();
  for (const [c, { serial }] of (modbus?.connections ?? []).entries())
    if (serial) owners.set(serial.path, `modbus.connections[${c}].serial`);
  const ports: ReadonlyArray<readonly [string, string | undefined]> = [
    ['notify.sms', sms?.path],
    ['notify.relay.serial', relay?.serial?.path],
  ];
  for (const [where, path] of ports) {
    if (path === undefined) continue;
    const owner = owners.get(path);
    if (owner !== undefined) yield `${where}.path: ${path} is there as ${owner} too; a port has one owner`;
    owners.set(path, where);
  }
}

function* hoursProblems(where: string, hours: readonly string[] | undefined): Generator<string> {
  for (const [h, text] of (hours ?? []).entries())
    if (parseHours(text) === undefined)
      yield `${where}[${h}]: "${text}" is no span of hours; give "06:00-21:30", "18:00-06:00" or "mon-fri 06:00-21:30"`;
}
