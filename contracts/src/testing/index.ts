/** Builders and conformance suites shared by the tests of several rooms. */
export {};
