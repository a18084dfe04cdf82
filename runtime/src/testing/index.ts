/** Helpers for tests of every package: virtual time, a quiet log, conformance suites. */
export * from './test-clock.js';
export * from './clock-suite.js';
export * from './memory-log.js';
export * from './temp-dir.js';
export * from './telemetry-suite.js';
export * from './alert-store-suite.js';
export * from './migration-suite.js';
