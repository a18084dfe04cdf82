/** Links: one owner and one queue per line or socket. */
export * from './port.js';
export * from './tcp-link.js';
export * from './rtu-link.js';
export { serialLine, type SerialSettings } from './serial-line.js';
export { socketLine } from './socket-line.js';
export { borrowedLink, lendLines, linesSocket } from './lent-line.js';
export type { UnitHealth } from './reply-times.js';
export type { ByteLine, ByteLineEvents, OpenLine } from './byte-line.js';
