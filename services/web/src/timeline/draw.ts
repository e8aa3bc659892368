/** Lanes on canvases. */
import type { Item, Series } from "../api/types";
import { confidence, headline, range, swatches } from "../document/items";
import { summarised, type Lane, type Placed } from "./lanes";
import { pixelsOf, type View } from "./view";

export const ROW_PIXELS = 18;
export const SERIES_PIXELS = 40;
const MARGIN = 3;
/** How dense the hue of a selected mark is; surer marks are denser than others, and none as dense as this. */
export const FULL_ALPHA = 0.45;
/** Text is drawn in marks at least this wide, in pixels. */
const LEAST_TEXT = 28;

export interface Colours {
  readonly hue: string;
  readonly ink: string;
  readonly soft: string;
  readonly paper: string;
}

/** The colours that the style sheet gives an element. */
export function coloursOf(element: Element): Colours {
  const style = getComputedStyle(element);
  const value = (name: string) => style.getPropertyValue(name).trim();
  return { hue: value("--hue"), ink: value("--ink"), soft: value("--soft"), paper: value("--paper") };
}

/** The height of a lane in pixels. */
export function laneHeight(lane: Lane): number {
  return lane.track.kind === "series" ? SERIES_PIXELS : lane.rows * ROW_PIXELS + MARGIN;
}

export interface Place {
  readonly view: View;
  readonly width: number;
  readonly height: number;
}

export function drawLane(
  context: CanvasRenderingContext2D,
  lane: Lane,
  place: Place,
  colours: Colours,
  selected: string | null,
): void {
  drawHoles(context, lane, place, colours);
  context.font = "12px system-ui, sans-serif";
  context.textBaseline = "middle";
  if (lane.track.kind === "series") drawSeries(context, lane.track, place, colours);
  else if (lane.track.kind === "event") drawEvents(context, lane, place, colours, selected);
  else for (const placed of lane.placed) drawMark(context, lane, placed, place, colours, selected);
}

function drawHoles(context: CanvasRenderingContext2D, lane: Lane, { view, width, height }: Place, colours: Colours): void {
  for (const [start, end] of lane.holes) {
    const [left, right] = [pixelsOf(view, width, start), pixelsOf(view, width, end)];
    if (right < 0 || left > width) continue;
    context.save();
    context.beginPath();
    context.rect(left, 0, right - left, height);
    context.clip();
    context.strokeStyle = colours.soft;
    context.globalAlpha = 0.35;
    context.lineWidth = 1;
    context.beginPath();
    for (let x = Math.max(left, 0) - height; x < Math.min(right, width); x += 7) {
      context.moveTo(x, height);
      context.lineTo(x + height, 0);
    }
    context.stroke();
    context.restore();
  }
}

function drawMark(
  context: CanvasRenderingContext2D,
  lane: Lane,
  placed: Placed,
  { view, width }: Place,
  colours: Colours,
  selected: string | null,
): void {
  const left = pixelsOf(view, width, placed.start);
  const right = Math.max(pixelsOf(view, width, placed.end), left + 2);
  if (right < 0 || left > width) return;
  const [from, to] = [Math.max(left, -4), Math.min(right, width + 4)];
  const top = placed.row * ROW_PIXELS + MARGIN - 1;
  const size = ROW_PIXELS - 3;
  const isSelected = selected === placed.item.id;
  context.fillStyle = colours.hue;
  context.globalAlpha = isSelected ? FULL_ALPHA : 0.14 + 0.22 * (confidence(placed.item) ?? 1);
  context.beginPath();
  context.roundRect(from, top, Math.max(to - from - 1, 1), size, 3);
  context.fill();
  context.globalAlpha = 1;
  context.fillRect(from, top, Math.min(2, to - from), size);
  drawSwatches(context, placed.item, from, to, top, size);
  if (isSelected) {
    context.strokeStyle = colours.ink;
    context.lineWidth = 1.5;
    context.stroke();
  }
  const room = to - Math.max(from, 0) - 8;
  if (room >= LEAST_TEXT && swatches(placed.item).length === 0) {
    drawText(context, headline(placed.item), Math.max(from, 0) + 6, top + size / 2 + 0.5, room, colours.ink);
  }
  if (lane.track.kind === "object") drawLooks(context, placed.item, { view, width, height: top + size }, colours);
}

/** When an object was looked at: a dot each, where there is room for them. */
function drawLooks(context: CanvasRenderingContext2D, item: Item, { view, width, height }: Place, colours: Colours): void {
  if (!("boxes" in item)) return;
  const apart = width / (view.end - view.start) / (item.boxes.length / Math.max(item.end - item.start, 0.01));
  if (apart < 6) return;
  context.fillStyle = colours.hue;
  for (const { t } of item.boxes) context.fillRect(pixelsOf(view, width, t) - 0.75, height - 3, 1.5, 3);
}

/** Colours of the picture, shown as themselves. */
function drawSwatches(context: CanvasRenderingContext2D, item: Item, left: number, right: number, top: number, size: number): void {
  const shown = swatches(item);
  const whole = shown.reduce((sum, one) => sum + one.share, 0);
  let x = left;
  for (const { hex, share } of shown) {
    const width = ((right - left - 1) * share) / whole;
    context.fillStyle = hex;
    context.fillRect(x, top, width, size);
    x += width;
  }
}

function drawText(context: CanvasRenderingContext2D, text: string, x: number, y: number, room: number, colour: string): void {
  context.save();
  context.beginPath();
  context.rect(x, y - 10, room, 20);
  context.clip();
  context.fillStyle = colour;
  context.fillText(text.slice(0, 200), x, y);
  context.restore();
}

function drawEvents(
  context: CanvasRenderingContext2D,
  lane: Lane,
  { view, width, height }: Place,
  colours: Colours,
  selected: string | null,
): void {
  lane.placed.forEach(({ item, start }, index) => {
    const x = pixelsOf(view, width, start);
    if (x < -200 || x > width + 4) return;
    context.fillStyle = selected === item.id ? colours.ink : colours.hue;
    context.fillRect(x - 1, 2, 2, height - 4);
    context.beginPath();
    context.arc(x, height / 2, 4, 0, 2 * Math.PI);
    context.fill();
    const next = lane.placed[index + 1];
    const room = (next ? pixelsOf(view, width, next.start) : width) - x - 14;
    if (room >= LEAST_TEXT) drawText(context, headline(item), x + 8, height / 2 + 0.5, room, colours.ink);
  });
}

/** A curve: the band from least to greatest value of each pixel, over a soft area. Gaps stay gaps. */
export function drawSeries(context: CanvasRenderingContext2D, track: Series, { view, width, height }: Place, colours: Colours): void {
  const limits = range(track);
  if (!limits) return;
  const [low, high] = limits;
  const spread = high - low || 1;
  const yOf = (value: number) => height - 4 - ((value - low) / spread) * (height - 8);
  const perPixel = (view.end - view.start) / width;
  context.fillStyle = context.strokeStyle = colours.hue;
  context.lineWidth = 1.5;
  context.lineJoin = "round";
  for (const run of runs(track, view, perPixel < track.dt ? null : Math.max(Math.floor(width), 1))) {
    const points = run.flatMap(({ t, least, most }) => {
      const x = pixelsOf(view, width, t);
      return least === most ? [[x, yOf(least)] as const] : [[x, yOf(least)] as const, [x, yOf(most)] as const];
    });
    const [first, last] = [points[0], points.at(-1)];
    if (!first || !last) continue;
    context.beginPath();
    context.moveTo(first[0], height);
    for (const [x, y] of points) context.lineTo(x, y);
    context.lineTo(last[0], height);
    context.globalAlpha = 0.14;
    context.fill();
    context.globalAlpha = 1;
    context.beginPath();
    if (points.length === 1) context.arc(first[0], first[1], 1.5, 0, 2 * Math.PI);
    for (const [x, y] of points) context.lineTo(x, y);
    context.stroke();
  }
}

interface Extent {
  readonly t: number;
  readonly least: number;
  readonly most: number;
}

/** The measured parts of a series: every value in its middle, or its extent in each of so many buckets. */
function runs(track: Series, view: View, buckets: number | null): Extent[][] {
  const found: Extent[][] = [[]];
  const add = (t: number, extent: readonly [number, number] | null) => {
    if (extent) found.at(-1)?.push({ t, least: extent[0], most: extent[1] });
    else found.push([]);
  };
  if (buckets === null) {
    const first = Math.max(0, Math.floor((view.start - track.t0) / track.dt) - 1);
    const last = Math.min(track.values.length, Math.ceil((view.end - track.t0) / track.dt) + 1);
    for (let index = first; index < last; index++) {
      const value = track.values[index] ?? null;
      add(track.t0 + (index + 0.5) * track.dt, value === null ? null : [value, value]);
    }
  } else {
    const step = (view.end - view.start) / buckets;
    const extents = summarised(track, view.start, view.end, buckets);
    extents.forEach((extent, index) => add(view.start + (index + 0.5) * step, extent));
  }
  return found.filter((run) => run.length > 0);
}

/** The item of a lane at a place, in pixels from its top left; the shortest where several lie. */
export function itemAt(lane: Lane, { view, width }: Place, x: number, y: number): Item | null {
  const row = Math.floor((y - MARGIN + 1) / ROW_PIXELS);
  const near = lane.placed.filter((one) => {
    const [left, right] = [pixelsOf(view, width, one.start), pixelsOf(view, width, one.end)];
    return one.row === row && x >= left - 4 && x <= Math.max(right, left + 2) + (right > left + 2 ? 0 : 4);
  });
  near.sort((a, b) => a.end - a.start - (b.end - b.start));
  return near[0]?.item ?? null;
}
