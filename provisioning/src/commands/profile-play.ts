/** `villagrid profile play`: a Modbus TCP device on this machine that answers what the vectors of a profile say. */
import { existsSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { VillagridError } from '@villagrid/contracts';
import { loadVectors, type PlayedRead, playVectors, type Profile } from '@villagrid/gateway/field';
import type { Command } from 'commander';
import { GivenValueError } from '../site/check-gateway.js';
import type { CommandPorts } from './command.js';
import { wholeNumber } from './init.js';

const headBytes = 7;
/** Longest frame of Modbus TCP; whoever sends more speaks something else. */
const longestFrame = 260;
/** Modbus exception of a gateway that has no such unit on its line. */
const noSuchUnit = 11;

/** A played device while it listens. */
export interface PlayedDevice {
  readonly port: number;
  close(): Promise<void>;
}

/** Listens on loopback until closed; port 0 takes any free one. Rejects with E_PORT_IN_USE. */
export async function startPlayedDevice(
  read: PlayedRead,
  place: { port: number; unit: number },
): Promise<PlayedDevice> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    let kept: Buffer = Buffer.alloc(0);
    socket.on('data', (data) => {
      kept = Buffer.concat([kept, data]);
      while (kept.length >= headBytes) {
        const end = headBytes - 1 + kept.readUInt16BE(4);
        if (kept.readUInt16BE(2) !== 0 || end > longestFrame || end < headBytes + 1) return void socket.destroy();
        if (kept.length < end) return;
        socket.write(answer(read, kept.subarray(0, end), place.unit));
        kept = kept.subarray(end);
      }
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('listening', resolve);
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'EADDRINUSE'
          ? new VillagridError('E_PORT_IN_USE', `127.0.0.1:${place.port}, wanted by the played device.`)
          : error,
      ),
    );
    server.listen(place.port, '127.0.0.1');
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function answer(read: PlayedRead, request: Buffer, unit: number): Buffer {
  const functionCode = request[headBytes] as number;
  const whole = request.length === headBytes + 5;
  const result =
    request[headBytes - 1] !== unit
      ? noSuchUnit
      : read(functionCode, whole ? request.readUInt16BE(8) : 0, whole ? request.readUInt16BE(10) : 0);
  let body: Buffer;
  if (typeof result === 'number') body = Buffer.from([functionCode | 0x80, result]);
  else {
    body = Buffer.alloc(2 + 2 * result.length);
    body.writeUInt8(functionCode, 0);
    body.writeUInt8(2 * result.length, 1);
    for (const [i, word] of result.entries()) body.writeUInt16BE(word, 2 + 2 * i);
  }
  const head = Buffer.from(request.subarray(0, headBytes));
  head.writeUInt16BE(body.length + 1, 4);
  return Buffer.concat([head, body]);
}

/** What a played device reads from: the case of that name, or the first. Throws GivenValueError when there is none. */
export function playedCase(path: string, profile: Profile, name?: string): { name: string; read: PlayedRead } {
  const vectors = join(dirname(path), 'vectors', `${profile.id}.yaml`);
  if (!profile.points) throw new GivenValueError(`${profile.id} finds its points by SunSpec; it cannot be played.`);
  if (!existsSync(vectors)) throw new GivenValueError(`${vectors}: there is no such file; write its vectors first.`);
  const cases = loadVectors(vectors);
  const one = name === undefined ? cases[0] : cases.find((each) => each.name === name);
  if (!one)
    throw new GivenValueError(
      `there is no case "${name}"; there are ${cases.map((each) => `"${each.name}"`).join(', ')}.`,
    );
  return { name: one.name, read: playVectors(profile, one) };
}

/** Adds `profile play`; `find` reads a profile by file or name. */
export function addPlay(
  command: Command,
  find: (file: string) => { path: string; profile: Profile },
  { print }: CommandPorts,
): void {
  command
    .command('play')
    .description('be the device of a profile, with the registers of its vectors, until stopped')
    .argument('<file>', 'the profile, or the name of a shipped one')
    .option('--port <port>', 'TCP port on this machine', wholeNumber, 5502)
    .option('--case <name>', 'case of the vectors; the first when left out')
    .addHelpText(
      'after',
      '\nOnly this machine reaches it. What it is asked beyond its registers and limits it refuses.\n\nExample:\n  villagrid profile play ./maker-model.yaml\n  villagrid profile try ./maker-model.yaml --host 127.0.0.1 --port 5502   (in a second terminal)\n',
    )
    .action(async (file: string, options: { port: number; case?: string }) => {
      const { path, profile } = find(file);
      const { tcp, rtu } = profile.transport;
      const unit = tcp?.unit ?? rtu?.unit ?? 1;
      const { name, read } = playedCase(path, profile, options.case);
      const { port } = await startPlayedDevice(read, { port: options.port, unit });
      print(`${profile.id} answers at 127.0.0.1:${port}, unit ${unit}: "${name}". Ctrl-C ends it.`);
      await new Promise(() => undefined);
    });
}
