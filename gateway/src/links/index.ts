/** Links: one owner and one queue per line or socket. */
export * from './port.js';
export * from './tcp-link.js';
