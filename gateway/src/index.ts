/** Public surface of this room: what provisioning, the world's tests and tools use of a gateway. */
export * from './config/schema.js';
export * from './config/load.js';
export * from './config/credentials.js';
export * from './config/notify-secrets.js';
export * from './app.js';
