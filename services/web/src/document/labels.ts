/** Where the labels of boxes go, so that none covers another. Everything in pixels of the picture. */

export interface Rect {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** A box that wants a label so wide. */
export interface Labelled {
  readonly box: Rect;
  readonly width: number;
}

export const LABEL_PIXELS = 18;
const APART = 2;
/** Boxes lower than this have no room for a label in them: it would cover what they show. */
const ROOM_PIXELS = 3 * LABEL_PIXELS;
/** What shares more than this of the smaller one's area with a label is hidden by it. */
const HIDES = 0.25;

/**
 * A place for each label, first come, first served: above its box, below it, beside it, or in it, where it covers neither
 * what is `taken` nor what another box shows. Null where there is none: a label left out is better than one in the way.
 */
export function placed(
  labels: readonly Labelled[],
  picture: { readonly width: number; readonly height: number },
  taken: readonly Rect[] = [],
): (Rect | null)[] {
  const kept = [...taken];
  return labels.map((label) => {
    const place = candidates(label, picture).find(
      (one) =>
        !kept.some((other) => common(one, other) > 0) &&
        !labels.some((other) => other !== label && hides(one, other.box, label.box)),
    );
    if (place) kept.push(place);
    return place ?? null;
  });
}

function candidates({ box, width }: Labelled, picture: { readonly width: number; readonly height: number }): Rect[] {
  const [left, right] = [box.left - 1, box.left + box.width - width + 1].map((x) => held(x, picture.width - width));
  const [above, below] = [box.top - LABEL_PIXELS - APART, box.top + box.height + APART];
  const inside = box.height < ROOM_PIXELS ? [] : [box.top + APART, box.top + box.height - LABEL_PIXELS - APART];
  const middle = box.top + (box.height - LABEL_PIXELS) / 2;
  const rows = (tops: readonly number[]) => tops.flatMap((top) => [[left, top], [right, top]]);
  const beside = [[box.left + box.width + APART, middle], [box.left - width - APART, middle]];
  return [...rows([above, below]), ...beside, ...rows(inside)]
    .map(([x = 0, top = 0]) => ({ left: x, top, width, height: LABEL_PIXELS }))
    .filter((one) => one.left >= 0 && one.left + width <= picture.width)
    .filter((one) => one.top >= 0 && one.top + LABEL_PIXELS <= picture.height);
}

/** A label on its own box's ground hides nothing of the boxes around that one. */
function hides(place: Rect, other: Rect, own: Rect): boolean {
  const isGround = common(own, other) >= 0.9 * area(own);
  return !isGround && common(place, other) > HIDES * Math.min(area(place), area(other));
}

function area({ width, height }: Rect): number {
  return width * height;
}

function held(x: number, most: number): number {
  return Math.max(0, Math.min(x, most));
}

/** The area that two rectangles share. */
export function common(a: Rect, b: Rect): number {
  const width = Math.min(a.left + a.width, b.left + b.width) - Math.max(a.left, b.left);
  const height = Math.min(a.top + a.height, b.top + b.height) - Math.max(a.top, b.top);
  return width > 0 && height > 0 ? width * height : 0;
}
