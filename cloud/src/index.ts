/** The thin cloud: takes what gateways send, proves it by receipts, shows many grids. */
export * from './config/schema.js';
export * from './config/load.js';
export * from './stores/database.js';
export * from './app.js';
