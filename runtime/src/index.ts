/** What every Node process of Villagrid needs once. */
export * from './clock/real-clock.js';
export * from './clock/random.js';
export * from './log/logger.js';
export * from './lifecycle/lifecycle.js';
export * from './lifecycle/run.js';
export * from './backoff/backoff.js';
export * from './sqlite/open.js';
export * from './sqlite/migrate.js';
export * from './pki/authority.js';
export * from './broker/types.js';
export * from './broker/guarded-broker.js';
export * from './config/load.js';
export * from './config/describe.js';
export * from './telemetry/types.js';
export * from './telemetry/store.js';
export * from './telemetry/number-ranges.js';
