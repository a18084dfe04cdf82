/** Conformance suite and in-memory ports of the api room. */
export * from './client.js';
export * from './conformance.js';
export * from './fake-ports.js';
