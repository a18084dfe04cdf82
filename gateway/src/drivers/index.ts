/** Drivers: what polls devices and delivers readings. */
export * from './port.js';
export * from './connection.js';
export * from './modbus.js';
export * from './site-periods.js';
export { loadProfile, loadProfiles, type Profile, profilesDirectory, resolveProfiles } from '../devices/index.js';
export * from './sunspec-discovery.js';
export * from './bus-plan.js';
export * from './register-commands.js';
export { LinkError } from '../links/index.js';
