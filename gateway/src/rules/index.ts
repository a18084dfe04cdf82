/** Rules of a site: the defaults, and what its own files change or add. */
export * from './site-rules.js';
