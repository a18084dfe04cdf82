/** What a relation between the meters of a site is, and what it says of their readings. */
/** Values of a channel as the wiring counts them; NaN where unknown. */
export interface Reading {
  readonly mean: Float64Array;
  readonly min: Float64Array;
  readonly max: Float64Array;
  readonly last: Float64Array;
}
export type Readings = ReadonlyMap<string, Reading>;

/** How far readings are from a relation. A score up to about ten is believable. */
export interface RelationFit {
  readonly score: number;
  /** What is left unexplained, as a share of what flows (or of the range that is possible). */
  readonly share: number;
  readonly rows: number;
}

/** Pairs of what a channel said and what the others say it should have said. */
export interface Expectation {
  readonly actual: number[];
  readonly expected: number[];
  /** 0 at the start of the day, 1 at its end. */
  readonly progress: number[];
}

/** One thing that must hold. */
export interface Relation {
  readonly id: string;
  readonly kind: 'balance' | 'product' | 'counter' | 'charge' | 'same' | 'sign' | 'night' | 'range' | 'full';
  /** Channels that take part. */
  readonly channels: readonly string[];
  /** In words: what was held against what. */
  readonly words: string;
  /** Undefined where too little was measured. */
  evaluate(readings: Readings, leastRows?: number): RelationFit | undefined;
  /** What a channel should have said; undefined where the relation cannot tell. */
  expect?(readings: Readings, channelId: string): Expectation | undefined;
}
