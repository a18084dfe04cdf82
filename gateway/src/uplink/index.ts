/** The uplink's public surface. */
export * from './destination.js';
export * from './mqtt-destination.js';
export * from './aws-iot/aws-iot-destination.js';
export { uplinkKeepaliveS } from './plans.js';
export type { Seal, SealStore } from '../log/seal-store.js';
export * from './uplink.js';
