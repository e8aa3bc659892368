/** Drawing on canvases: the overlay over the video. Positions come in 0..1 of the picture. */
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
  const [x = 0, y = 0, w = 0, h = 0] = mark.box;
  const [left, top, width, height] = [x * size.width, y * size.height, w * size.width, h * size.height];
  context.beginPath();
  context.roundRect(left, top, width, height, 3);
  if (isSelected) {
    context.fillStyle = `${colour}44`;
    context.fill();
  }
  outlined(context, colour, isSelected ? 3 : 1.75);
  drawLabel(context, size, mark.label, left, top, colour);
}

function drawLabel(context: CanvasRenderingContext2D, size: Size, label: string, left: number, top: number, colour: string): void {
  context.font = "600 12px system-ui, sans-serif";
  context.textBaseline = "middle";
  const width = Math.min(context.measureText(label).width + 10, size.width);
  const x = Math.min(Math.max(left - 1, 0), size.width - width);
  const y = top >= 20 ? top - 20 : Math.min(top + 2, size.height - 20);
  context.fillStyle = colour;
  context.beginPath();
  context.roundRect(x, Math.max(y, 0), width, 18, 3);
  context.fill();
  context.fillStyle = "#10131a";
  context.fillText(label, x + 5, Math.max(y, 0) + 9.5, width - 8);
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
