/** What tools beside the daemon use of its field side: links, device profiles, drivers, the scan. */
export * from './links/index.js';
export * from './drivers/index.js';
export * from './scan/index.js';
