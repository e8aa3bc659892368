import type { RefObject } from "preact";
import { useEffect } from "preact/hooks";
import type { Signal } from "@preact/signals";
import { details, headline, trackName, valueAt, when } from "../document/items";
import { citation, useWorkspace, type Workspace } from "../state/workspace";
import { measure } from "../text/words";
import { itemAt } from "../timeline/draw";
import type { Lane } from "../timeline/lanes";
import { moved, secondsOf, zoomed } from "../timeline/view";
import type { Hover } from "./Playhead";

/** A press that moves less than this, in pixels, is a click. */
const CLICK_PIXELS = 4;
const ZOOM_PER_PIXEL = 1.0025;
const LINE_PIXELS = 16;

interface Press {
  readonly x: number;
  readonly zone: "scrub" | "pan";
  last: number;
  hasMoved: boolean;
}

/** Pointer, wheel and fingers on the timeline: click to go there, drag to pan or scrub, wheel or pinch to zoom. */
export function usePointer(
  plots: RefObject<HTMLElement | null>,
  ruler: RefObject<HTMLElement | null>,
  hover: Signal<Hover | null>,
): void {
  const workspace = useWorkspace();
  useEffect(() => {
    const element = plots.current;
    if (!element || !ruler.current) return undefined;
    const pointing = new Pointing(workspace, element, ruler.current, hover);
    const abort = new AbortController();
    const on = <K extends keyof HTMLElementEventMap>(name: K, heard: (event: HTMLElementEventMap[K]) => void) =>
      element.addEventListener(name, heard, { signal: abort.signal, passive: false });
    on("pointerdown", (event) => pointing.down(event));
    on("pointermove", (event) => pointing.move(event));
    on("pointerup", (event) => pointing.up(event));
    on("pointercancel", (event) => pointing.cancel(event));
    on("pointerleave", () => (hover.value = null));
    on("wheel", (event) => pointing.wheel(event));
    return () => abort.abort();
  }, [workspace, plots, ruler, hover]);
}

class Pointing {
  private press: Press | null = null;
  private readonly fingers = new Map<number, number>();

  constructor(
    private readonly workspace: Workspace,
    private readonly element: HTMLElement,
    private readonly ruler: HTMLElement,
    private readonly hover: Signal<Hover | null>,
  ) {}

  down(event: PointerEvent): void {
    const plot = plotOf(event);
    if (!plot || event.button !== 0) return;
    this.fingers.set(event.pointerId, event.clientX);
    if (this.fingers.size > 1) {
      this.press = null;
      return;
    }
    const zone = plot.dataset["zone"] === "scrub" && event.pointerType !== "touch" ? "scrub" : "pan";
    this.press = { x: event.clientX, last: event.clientX, zone, hasMoved: false };
    if (zone === "scrub") this.workspace.go(this.secondsAt(event.clientX));
  }

  move(event: PointerEvent): void {
    if (this.fingers.size > 1 && this.fingers.has(event.pointerId)) this.pinch(event);
    else if (this.press) this.drag(event, this.press);
    if (event.pointerType !== "touch") this.hover.value = this.under(event);
  }

  up(event: PointerEvent): void {
    const { press } = this;
    this.cancel(event);
    if (!press || press.hasMoved || press.zone === "scrub") return;
    const lane = this.laneOf(event);
    const item = lane && this.itemUnder(lane, event);
    this.workspace.go(this.secondsAt(event.clientX), lane && item ? citation(lane.id, item) : null);
  }

  cancel(event: PointerEvent): void {
    this.fingers.delete(event.pointerId);
    this.press = null;
  }

  wheel(event: WheelEvent): void {
    if (!plotOf(event)) return;
    const { workspace } = this;
    const scale = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE_PIXELS : 1;
    const [x, y] = event.shiftKey ? [event.deltaY || event.deltaX, 0] : [event.deltaX, event.deltaY];
    if (Math.abs(x) > Math.abs(y)) {
      if (!workspace.isZoomed) return;
      event.preventDefault();
      this.pan(x * scale);
      return;
    }
    // the whole video is shown: scrolling down is meant for the page
    if (y > 0 && !workspace.isZoomed) return;
    event.preventDefault();
    const around = this.secondsAt(event.clientX);
    workspace.view.value = zoomed(workspace.view.value, ZOOM_PER_PIXEL ** (y * scale), around, workspace.player.duration);
  }

  private drag(event: PointerEvent, press: Press): void {
    if (!press.hasMoved && Math.abs(event.clientX - press.x) < CLICK_PIXELS) return;
    if (!press.hasMoved) this.element.setPointerCapture(event.pointerId);
    press.hasMoved = true;
    if (press.zone === "scrub") this.workspace.player.seek(this.secondsAt(event.clientX));
    else this.pan(press.last - event.clientX);
    press.last = event.clientX;
  }

  private pinch(event: PointerEvent): void {
    const before = [...this.fingers.values()];
    this.fingers.set(event.pointerId, event.clientX);
    const after = [...this.fingers.values()];
    const [was, is] = [before, after].map(([a = 0, b = 0]) => Math.max(Math.abs(a - b), 10));
    const middle = ((after[0] ?? 0) + (after[1] ?? 0)) / 2;
    const { view, player } = this.workspace;
    view.value = zoomed(view.value, (was ?? 1) / (is ?? 1), this.secondsAt(middle), player.duration);
  }

  private pan(pixels: number): void {
    const { view, player } = this.workspace;
    const perPixel = (view.value.end - view.value.start) / this.ruler.clientWidth;
    view.value = moved(view.value, pixels * perPixel, player.duration);
  }

  private secondsAt(clientX: number): number {
    const { left, width } = this.ruler.getBoundingClientRect();
    const t = secondsOf(this.workspace.view.value, width, clientX - left);
    return Math.min(Math.max(t, 0), this.workspace.player.duration);
  }

  private laneOf(event: PointerEvent): Lane | null {
    const id = (event.target as Element).closest<HTMLElement>("[data-lane]")?.dataset["lane"];
    for (const group of this.workspace.lanes.value) {
      for (const lane of group.lanes) if (lane.id === id) return lane;
    }
    return null;
  }

  private itemUnder(lane: Lane, event: PointerEvent) {
    const canvas = (event.target as Element).closest("canvas");
    if (!canvas) return null;
    const { left, top, width, height } = canvas.getBoundingClientRect();
    const place = { view: this.workspace.view.value, width, height };
    const y = lane.track.kind === "event" ? 0 : event.clientY - top;
    return itemAt(lane, place, event.clientX - left, y);
  }

  private under(event: PointerEvent): Hover | null {
    if (!plotOf(event) && !this.press) return null;
    const t = this.secondsAt(event.clientX);
    const at = { t, clientX: event.clientX, clientY: event.clientY };
    const lane = this.laneOf(event);
    if (!lane) return { ...at, title: "", lines: [] };
    if (lane.track.kind === "series") {
      const value = valueAt(lane.track, t);
      const said = value === undefined ? "not measured here" : measure(value, lane.track.unit);
      return { ...at, title: said, lines: [trackName(lane.track)] };
    }
    const item = this.itemUnder(lane, event);
    if (!item) return { ...at, title: "", lines: [] };
    return { ...at, title: headline(item), lines: [when(item), ...details(item)] };
  }
}

function plotOf(event: Event): HTMLElement | null {
  return event.target instanceof Element ? event.target.closest<HTMLElement>(".plot") : null;
}
