/** Lines of what is said or written, and the moments inside of them. Times are seconds. */

/** A span and the moments at which its words begin. */
export interface Worded {
  readonly start: number;
  readonly end: number;
  readonly words: readonly { readonly start: number }[];
}

/** Nearer than this, moments are the same: video times are rounded. */
const SAME_SECONDS = 0.001;

/** Where the word after (1) or before (-1) a moment begins; the first one where the moment is not in the line. */
export function besides({ start, end, words }: Worded, now: number, side: 1 | -1): number {
  const starts = words.map((word) => word.start);
  const first = starts[0] ?? start;
  if (now < first - SAME_SECONDS || now >= end) return first;
  if (side > 0) return starts.find((t) => t > now + SAME_SECONDS) ?? starts.at(-1) ?? start;
  return starts.filter((t) => t < now - SAME_SECONDS).at(-1) ?? first;
}
