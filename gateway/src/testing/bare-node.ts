/** A node as bytes on a socket, for tests: what client libraries hide, it can do (sending again, leaving without a word). */
import { once } from 'node:events';
import net, { type Socket } from 'node:net';
import type { Test } from 'tap';
import { devicePassword, until } from './house.js';

const text = (value: string): Buffer => {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]);
};

function packet(firstByte: number, body: Buffer): Buffer {
  const length: number[] = [];
  for (let left = body.length; ; left >>= 7) {
    if (left < 128) {
      length.push(left);
      return Buffer.concat([Buffer.from([firstByte, ...length]), body]);
    }
    length.push((left & 127) | 128);
  }
}

/** A publish of MQTT 3.1.1 with QoS 1. */
export function publishPacket(topic: string, packetId: number, payload: string, duplicate = false): Buffer {
  const id = Buffer.from([packetId >> 8, packetId & 255]);
  return packet(duplicate ? 0x3a : 0x32, Buffer.concat([text(topic), id, Buffer.from(payload)]));
}

/** A connected node. */
export interface BareNode {
  readonly socket: Socket;
  /** Packet ids of the PUBACKs so far, in their order. */
  acknowledged(): number[];
  readonly closed: () => boolean;
}

/** Connects and logs in as a device. */
export async function bareNode(
  t: Test,
  url: string,
  deviceId: string,
  {
    clientId = deviceId,
    will,
  }: { readonly clientId?: string; readonly will?: { topic: string; payload: string } } = {},
): Promise<BareNode> {
  const { port, hostname } = new URL(url);
  const socket = net.connect(Number(port), hostname).setNoDelay();
  t.teardown(() => socket.destroy());
  let heard = Buffer.alloc(0);
  let closed = false;
  socket.on('error', () => {});
  socket.on('data', (data) => (heard = Buffer.concat([heard, data])));
  socket.on('close', () => (closed = true));
  await once(socket, 'connect');
  const willParts = will ? [text(will.topic), text(will.payload)] : [];
  const flags = 0xc2 | (will ? 0x0c : 0);
  const head = Buffer.concat([text('MQTT'), Buffer.from([4, flags, 0, 30])]);
  socket.write(packet(0x10, Buffer.concat([head, text(clientId), ...willParts, text(deviceId), text(devicePassword)])));
  if (!(await until(() => heard.length >= 4 || closed)) || closed || heard[3] !== 0) throw new Error('not let in');
  heard = Buffer.from(heard.subarray(4));
  return {
    socket,
    closed: () => closed,
    acknowledged() {
      const ids: number[] = [];
      for (let at = 0; at + 4 <= heard.length; at += 4) if (heard[at] === 0x40) ids.push(heard.readUInt16BE(at + 2));
      return ids;
    },
  };
}
