/** What tools beside the daemon use of its field side: device profiles, links, drivers, the scan. */
export * from './devices/index.js';
export * from './links/index.js';
export * from './drivers/index.js';
export { type TriedPoint, type TriedProfile, tryProfile } from './drivers/try-profile.js';
export * from './scan/index.js';
export * from './rules/index.js';
