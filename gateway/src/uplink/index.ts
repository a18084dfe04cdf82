/** The uplink's public surface. */
export * from './destination.js';
export * from './mqtt-destination.js';
export * from './uplink.js';
