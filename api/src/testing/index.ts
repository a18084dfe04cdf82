/** Conformance suite and in-memory ports of the api room. */
export * from './client.js';
export * from './conformance.js';
export * from './conformance-people.js';
export type { ConformancePerson, ConformanceServer } from './conformance-setting.js';
export * from './fake-ports.js';
export * from './memory-grid.js';
