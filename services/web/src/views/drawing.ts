/** Drawing on canvases: the overlay over the video. Positions come in 0..1 of the picture. */
import { placed, type Rect } from "../document/labels";
import type { Arrow, BoxMark, Figure, Mask, Picture } from "../document/overlays";

/** Fit to stand out from any picture, with a dark outline; the switches show the same colours. */
export const OVERLAY_COLOURS: Readonly<Record<string, string>> = {
  mask: "#4dd4ff",
  objects: "#5ea2ff",
  products: "#3ddc97",
  faces: "#ff9f5a",
  text: "#c9a0ff",
  poses: "#ffe066",
  hands: "#ff7ab8",
  gaze: "#ff5c5c",
  subtitles: "#ffffff",
};
const OUTLINE = "rgb(0 0 0 / 65%)";
/** Of the labels' text. */
export const INK = "#10131a";
const LABEL_PADDING = 5;
/** A label may be as wide as its box, or as this share of the picture. */
const WIDEST_LABEL = 0.4;

interface Size {
  readonly width: number;
  readonly height: number;
}

export function drawPicture(
  context: CanvasRenderingContext2D,
  size: Size,
  picture: Partial<Picture>,
  colour: string,
  selected: string | null,
): void {
  if (picture.mask) drawMask(context, size, picture.mask, colour);
  for (const figure of picture.figures ?? []) drawFigure(context, size, figure, colour);
  for (const arrow of picture.arrows ?? []) drawArrow(context, size, arrow, colour);
  for (const box of picture.boxes ?? []) drawBox(context, size, box, colour, box.id === selected);
}

function outlined(context: CanvasRenderingContext2D, colour: string, width: number): void {
  context.lineJoin = context.lineCap = "round";
  context.strokeStyle = OUTLINE;
  context.lineWidth = width + 2;
  context.stroke();
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.stroke();
}

function drawBox(context: CanvasRenderingContext2D, size: Size, mark: BoxMark, colour: string, isSelected: boolean): void {
  const { left, top, width, height } = inPixels(mark, size);
  context.beginPath();
  context.roundRect(left, top, width, height, 3);
  if (isSelected) {
    context.fillStyle = `${colour}44`;
    context.fill();
  }
  outlined(context, colour, isSelected ? 3 : 1.75);
}

function inPixels({ box: [x = 0, y = 0, w = 0, h = 0] }: BoxMark, { width, height }: Size): Rect {
  return { left: x * width, top: y * height, width: w * width, height: h * height };
}

/** A box whose label is drawn, and in which colour. */
export interface Tag {
  readonly mark: BoxMark;
  readonly colour: string;
}

/** Draw the labels of boxes where there is room for them, the first ones first; none over another or what is `taken`. */
export function drawLabels(context: CanvasRenderingContext2D, size: Size, tags: readonly Tag[], taken: readonly Rect[]): void {
  context.font = "600 12px system-ui, sans-serif";
  context.textBaseline = "middle";
  const written = tags.map(({ mark, colour }) => {
    const box = inPixels(mark, size);
    const text = shortened(context, mark.label, Math.max(box.width, size.width * WIDEST_LABEL) - 2 * LABEL_PADDING);
    return { box, text, colour, width: context.measureText(text).width + 2 * LABEL_PADDING };
  });
  const places = placed(written, size, taken);
  written.forEach(({ text, colour }, index) => {
    const place = places[index];
    if (!place) return;
    context.fillStyle = colour;
    context.beginPath();
    context.roundRect(place.left, place.top, place.width, place.height, 3);
    context.fill();
    context.fillStyle = INK;
    context.fillText(text, place.left + LABEL_PADDING, place.top + place.height / 2 + 0.5);
  });
}

/** As much of a text as fits. */
function shortened(context: CanvasRenderingContext2D, text: string, room: number): string {
  const fits = (one: string) => context.measureText(one).width <= room;
  if (fits(text)) return text;
  const letters = [...text];
  let [kept, most] = [1, letters.length];
  while (kept + 1 < most) {
    const middle = (kept + most) >> 1;
    if (fits(`${letters.slice(0, middle).join("")}…`)) kept = middle;
    else most = middle;
  }
  return `${letters.slice(0, kept).join("").trimEnd()}…`;
}

function drawFigure(context: CanvasRenderingContext2D, size: Size, figure: Figure, colour: string): void {
  context.beginPath();
  for (let index = 0; index + 1 < figure.lines.length; index += 2) {
    const [from, to] = [figure.lines[index], figure.lines[index + 1]];
    if (!from || !to) continue;
    context.moveTo(from[0] * size.width, from[1] * size.height);
    context.lineTo(to[0] * size.width, to[1] * size.height);
  }
  outlined(context, colour, 2);
  context.fillStyle = colour;
  for (const [x, y] of figure.points) {
    context.beginPath();
    context.arc(x * size.width, y * size.height, 2.5, 0, 2 * Math.PI);
    context.fill();
  }
}

function drawArrow(context: CanvasRenderingContext2D, size: Size, { from, to }: Arrow, colour: string): void {
  const [x, y] = [from[0] * size.width, from[1] * size.height];
  context.beginPath();
  context.arc(x, y, 3, 0, 2 * Math.PI);
  context.moveTo(x, y);
  context.lineTo(to[0] * size.width, to[1] * size.height);
  outlined(context, colour, 2);
}

const painted = new WeakMap<Mask, HTMLCanvasElement>();

function drawMask(context: CanvasRenderingContext2D, size: Size, mask: Mask, colour: string): void {
  let canvas = painted.get(mask);
  if (!canvas) {
    canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [mask.width, mask.height];
    const image = new ImageData(mask.width, mask.height);
    const [r, g, b] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
    mask.pixels.forEach((value, index) => image.data.set([r ?? 0, g ?? 0, b ?? 0, value ? 110 : 0], index * 4));
    canvas.getContext("2d")?.putImageData(image, 0, 0);
    painted.set(mask, canvas);
  }
  context.drawImage(canvas, 0, 0, size.width, size.height);
}

/** Make a canvas as sharp as the screen; its context draws in CSS pixels. */
export function prepared(canvas: HTMLCanvasElement, size: Size): CanvasRenderingContext2D | null {
  const ratio = devicePixelRatio || 1;
  const [width, height] = [Math.round(size.width * ratio), Math.round(size.height * ratio)];
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const context = canvas.getContext("2d");
  context?.setTransform(ratio, 0, 0, ratio, 0, 0);
  context?.clearRect(0, 0, size.width, size.height);
  return context;
}
