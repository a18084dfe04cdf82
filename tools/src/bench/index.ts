/** What bench files use of the runner. */
export * from './bench.js';
export * from './processes.js';
