/** The contract of Villagrid: what all parts say to each other. */
export * from './metrics/catalogue.js';
export * from './quality/quality.js';
export * from './ports/clock.js';
export * from './ports/id.js';
export * from './auth/roles.js';
export * from './errors/catalogue.js';
export * from './wire/topics.js';
export * from './wire/telemetry.js';
export * from './wire/legacy.js';
export * from './codec/bytes.js';
export * from './codec/frame.js';
export * from './codec/series-hash.js';
