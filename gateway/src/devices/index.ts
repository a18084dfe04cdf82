/** Device profiles: form, loading, decoding, read planning. */
export * from './profile-schema.js';
export * from './load-profiles.js';
export * from './layout.js';
export * from './decode.js';
export * from './encode.js';
export * from './plan.js';
export * from './trouble.js';
export * from './identify.js';
export * from './site-profiles.js';
export * from './vectors.js';
export * from './play.js';
