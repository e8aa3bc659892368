/** What can be drawn over the video: one painter for each kind of thing, from its tracks, for one moment. */
import type { Box, Followed, Track, TrackOf } from "../api/types";
import { plain } from "../text/words";
import { looksAt, mixed, unpacked, upperBound, type Timed, type Tracked } from "./shown";

/** A label beside a box, in 0..1 of the picture. */
export interface BoxMark {
  readonly id: string;
  readonly box: readonly number[];
  readonly label: string;
}

/** Points joined by lines, in 0..1 of the picture. */
export interface Figure {
  readonly points: readonly (readonly [number, number])[];
  readonly lines: readonly (readonly [number, number])[];
}

/** From where to where eyes look, in 0..1 of the picture. */
export interface Arrow {
  readonly from: readonly [number, number];
  readonly to: readonly [number, number];
}

export interface Mask {
  readonly key: string;
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint8Array;
}

export interface Picture {
  readonly boxes: readonly BoxMark[];
  readonly figures: readonly Figure[];
  readonly arrows: readonly Arrow[];
  readonly mask: Mask | null;
}

export interface Overlay {
  readonly name: string;
  readonly label: string;
  /** How many things there are in the whole video. */
  readonly count: number;
  readonly at: (t: number) => Partial<Picture>;
}

type Find = <Id extends NonNullable<Track["id"]>>(id: Id) => TrackOf<Id> | undefined;
type Landmarks = readonly (readonly number[])[];

/** Lines between BlazePose's 33 landmarks. */
// prettier-ignore
const BODY: readonly (readonly [number, number])[] = [
  [11, 12], [11, 13], [13, 15], [12, 14], [14, 16], [11, 23], [12, 24], [23, 24], [23, 25], [25, 27], [24, 26], [26, 28],
  [27, 31], [28, 32], [27, 29], [28, 30], [15, 19], [16, 20], [0, 2], [0, 5], [2, 7], [5, 8], [9, 10],
];
/** Lines between a hand's 21 landmarks: the palm, then finger by finger. */
// prettier-ignore
const HAND: readonly (readonly [number, number])[] = [
  [0, 1], [1, 2], [2, 3], [3, 4], [0, 5], [5, 6], [6, 7], [7, 8], [5, 9], [9, 10], [10, 11], [11, 12], [9, 13], [13, 14],
  [14, 15], [15, 16], [13, 17], [17, 18], [18, 19], [19, 20], [0, 17],
];
/** Landmarks less visible than this are not drawn: BlazePose's own threshold. */
const VISIBLE = 0.5;
/** A mask is shown until the next one or a cut, but not for longer than this, in seconds. */
const MASK_SECONDS = 1.05;
/** Eye widths that the measured iris moves for a clear look aside (eye_tracking.py), drawn as one eye distance. */
const LOOK = 0.15;
/** Where the iris of eyes that look ahead stands, in eye widths below the line of their corners (eye_tracking.py). */
const REST = -0.04;

/** The overlays whose analyzers have said something, in the order in which they are drawn. */
export function overlays(find: Find): Overlay[] {
  return [
    masks(find("background_segmentation/masks"), find("cut_analysis/shots")),
    boxes("objects", "Objects", find("object_detection/objects")?.items),
    boxes("products", "Products", find("product_detection/products")?.items),
    boxes("faces", "Faces", find("face_detection/faces")?.items),
    text(find("text_overlay/captions")),
    figures("poses", "Poses", find("body_pose/poses")?.items, BODY),
    figures("hands", "Hands", find("gesture_recognition/hands")?.items, HAND),
    gaze(find("eye_tracking/eyes"), find("face_detection/faces")),
  ].filter((overlay) => overlay !== null);
}

function boxAt(thing: Followed, t: number): readonly number[] | null {
  const look = looksAt<Timed>(thing, t);
  return look && mixed(look.first.box, look.next?.box, look.share);
}

function boxes(name: string, label: string, items: readonly Followed[] | undefined): Overlay | null {
  if (!items) return null;
  const at = (t: number) => ({
    boxes: items.flatMap((item) => {
      const box = boxAt(item, t);
      const sure = item.confidence === null ? "" : ` ${item.confidence.toFixed(2)}`;
      return box ? [{ id: item.id, box, label: plain(item.label) + sure }] : [];
    }),
  });
  return { name, label, count: items.length, at };
}

function text(track: TrackOf<"text_overlay/captions"> | undefined): Overlay | null {
  if (!track) return null;
  const at = (t: number) => ({
    boxes: track.items.flatMap(({ id, start, end, box, text: said }) =>
      start <= t && t < end ? [{ id, box: box as Box, label: said }] : [],
    ),
  });
  return { name: "text", label: "Text", count: track.items.length, at };
}

function figures(
  name: string,
  label: string,
  items: readonly Tracked<Timed & { readonly landmarks: Landmarks }>[] | undefined,
  lines: Figure["lines"],
): Overlay | null {
  if (!items) return null;
  const at = (t: number) => ({
    figures: items.flatMap((item) => {
      const look = looksAt(item, t);
      return look ? [figure(look.first.landmarks, look.next?.landmarks, look.share, lines)] : [];
    }),
  });
  return { name, label, count: items.length, at };
}

function figure(first: Landmarks, next: Landmarks | undefined, share: number, lines: Figure["lines"]): Figure {
  const isSeen = (index: number) => (first[index]?.[2] ?? 1) >= VISIBLE;
  const points = first.map((point, index) => mixed(point, next?.[index], share).slice(0, 2) as [number, number]);
  return {
    points: points.filter((_, index) => isSeen(index)),
    lines: lines
      .filter(([a, b]) => isSeen(a) && isSeen(b))
      .flatMap(([a, b]) => [points[a], points[b]])
      .filter((point) => point !== undefined),
  };
}

function gaze(
  eyes: TrackOf<"eye_tracking/eyes"> | undefined,
  faces: TrackOf<"face_detection/faces"> | undefined,
): Overlay | null {
  if (!eyes || !faces) return null;
  const at = (t: number) => ({
    arrows: eyes.items.flatMap(({ start, dt, across, down, evidence }) => {
      const face = faces.items.find(({ id }) => evidence.includes(`face_detection/faces/${id}`));
      const look = face && looksAt(face, t);
      const index = Math.round((t - start) / dt);
      const [aside, below] = [across[index], down[index]];
      if (!look || aside === undefined || aside === null || below === undefined || below === null) return [];
      const [right, left] = [0, 1].map((eye) =>
        mixed(look.first.keypoints[eye] ?? [], look.next?.keypoints[eye], look.share),
      );
      return right && left ? eyeArrows(right, left, aside / LOOK, (below - REST) / LOOK) : [];
    }),
  });
  return { name: "gaze", label: "Gaze", count: eyes.items.length, at };
}

/** One arrow an eye; a look of 1 is as long as the eyes are apart. Tilted heads look along their own axes. */
function eyeArrows(right: readonly number[], left: readonly number[], aside: number, below: number): Arrow[] {
  const [rx = 0, ry = 0, lx = 0, ly = 0] = [...right, ...left];
  const [x, y] = [lx - rx, ly - ry];
  const toX = x * aside - y * below;
  const toY = y * aside + Math.abs(x) * below;
  return [
    { from: [rx, ry], to: [rx + toX, ry + toY] },
    { from: [lx, ly], to: [lx + toX, ly + toY] },
  ];
}

function masks(
  track: TrackOf<"background_segmentation/masks"> | undefined,
  shots: TrackOf<"cut_analysis/shots"> | undefined,
): Overlay | null {
  if (!track) return null;
  const isCut = (from: number, to: number) => shots?.items.some(({ start }) => from < start && start <= to) ?? false;
  const kept = new Map<string, Mask>();
  const at = (t: number) => {
    const found = track.items[upperBound(track.items, t) - 1];
    if (!found || t - found.t > MASK_SECONDS || isCut(found.t, t)) return {};
    let mask = kept.get(found.id);
    if (!mask) {
      const [height, width] = found.size as readonly [number, number];
      mask = { key: found.id, width, height, pixels: unpacked([height, width], found.counts) };
      kept.set(found.id, mask);
    }
    return { mask };
  };
  return { name: "mask", label: "People masks", count: track.items.length, at };
}
