/** Conformance suites and builders of the api room. */
export {};
