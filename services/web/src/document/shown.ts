/** What stands where in the picture at one moment. */
import type { Box } from "../api/types";

/** What every box of a followed thing has. */
export interface Timed {
  readonly t: number;
  readonly box: Box;
}

/** Looks further apart than this, in seconds, have a gap between them in which nothing is drawn after the first. */
const LONGEST_GAP = 1.2;
/** How long a last look is shown, in seconds: about the time to the next one that did not come. */
const LAST_LOOK = 0.3;

/** A box between two looks: `share` 0..1 of the way from `first` to `next`. */
export interface Between<T extends Timed> {
  readonly first: T;
  readonly next: T | null;
  readonly share: number;
}

/** Something that is followed: there from `start` until before `end`, in seconds, its looks ordered by time. */
export interface Tracked<T extends Timed> {
  readonly end: number;
  readonly boxes: readonly T[];
}

/** The looks around a moment in seconds; null when the thing is not there then. After `end` there may be another shot. */
export function looksAt<T extends Timed>({ end, boxes: looks }: Tracked<T>, t: number): Between<T> | null {
  if (t >= end) return null;
  const after = upperBound(looks, t);
  const first = looks[after - 1];
  if (!first) return null;
  const next = looks[after] ?? null;
  if (!next) return t - first.t <= LAST_LOOK ? { first, next: null, share: 0 } : null;
  const gap = next.t - first.t;
  if (gap > LONGEST_GAP) return t - first.t <= LAST_LOOK ? { first, next: null, share: 0 } : null;
  return { first, next, share: gap > 0 ? (t - first.t) / gap : 0 };
}

/** How many of the looks are at or before `t`. */
export function upperBound(looks: readonly { readonly t: number }[], t: number): number {
  let [low, high] = [0, looks.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((looks[middle]?.t ?? Infinity) <= t) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Numbers between two lists of equal length. */
export function mixed(first: readonly number[], next: readonly number[] | undefined, share: number): number[] {
  return first.map((value, index) => value + ((next?.[index] ?? value) - value) * share);
}

/** A mask of COCO's uncompressed run lengths, column after column, as one byte a pixel, row after row. */
export function unpacked(size: readonly [number, number], counts: readonly number[]): Uint8Array {
  const [height, width] = size;
  const mask = new Uint8Array(height * width);
  let [at, value] = [0, 0];
  for (const run of counts) {
    if (value) {
      for (let pixel = at; pixel < at + run; pixel++) mask[(pixel % height) * width + Math.floor(pixel / height)] = 1;
    }
    at += run;
    value = 1 - value;
  }
  return mask;
}
