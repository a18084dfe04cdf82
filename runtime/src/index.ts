/** What every Node process of Villagrid needs once. */
export * from './clock/real-clock.js';
export * from './clock/random.js';
