/** Which epoch a frame belongs to on the wire: the log's numbers go on over a restore, an epoch's own begin with 1. */

/** Frames of one epoch, by the log's numbers. */
export interface EpochSpan {
  readonly epoch: string;
  /** Number of the last frame before it, and of its last; the present epoch has no last. */
  readonly after: number;
  readonly last: number;
}

/** The span that holds a number: one of the former epochs (oldest first), or the present one. */
export function spanAt(
  number: number,
  present: string,
  former: readonly { readonly epoch: string; readonly last: number }[],
): EpochSpan {
  let after = 0;
  for (const { epoch, last } of former) {
    if (number <= last) return { epoch, after, last };
    after = last;
  }
  return { epoch: present, after, last: Number.POSITIVE_INFINITY };
}
