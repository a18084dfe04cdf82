/** Provisioning as a library: what the command line does, for `npm start` and tests. */
export * from './cli.js';
export * from './doctor/doctor.js';
export * from './site/cloud-site.js';
export * from './site/files.js';
export * from './site/gateway-site.js';
export * from './site/last-backup.js';
export { makePassword } from '@villagrid/runtime';
export * from './site/people.js';
