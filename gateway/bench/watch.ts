/**
 * A phone that watches the live channel, in a process of its own.
 *
 * node --import=tsx gateway/bench/watch.ts <settings.json>
 */
import { readFileSync } from 'node:fs';
import WebSocket from 'ws';

/** What the settings file holds. */
export interface WatchSettings {
  readonly liveUrl: string;
  readonly token: string;
}

const { liveUrl, token } = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as WatchSettings;
const socket = new WebSocket(liveUrl, { headers: { authorization: `Bearer ${token}` } });
socket.on('error', (error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
});
socket.once('message', () => process.stdout.write('{"watching":true}\n'));
socket.on('message', () => {});
