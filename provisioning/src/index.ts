/** Public surface of this room. */
export {};
