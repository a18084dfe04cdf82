/** The uplink's public surface. */
export * from './destination.js';
export * from './mqtt-destination.js';
export { uplinkKeepaliveS } from './plans.js';
export type { SealStore } from './seal-store.js';
export * from './uplink.js';
