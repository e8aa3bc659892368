/** The part of the video that the timeline shows, and how seconds and pixels relate in it. */

export interface View {
  readonly start: number;
  readonly end: number;
}

/** The shortest part that can be shown, in seconds: some frames. */
export const SHORTEST = 0.25;

export function pixelsOf(view: View, width: number, t: number): number {
  return ((t - view.start) / (view.end - view.start)) * width;
}

export function secondsOf(view: View, width: number, x: number): number {
  return view.start + (x / width) * (view.end - view.start);
}

/** A view of the same length inside of the video, or the whole video. */
export function held(view: View, duration: number): View {
  const length = Math.min(Math.max(view.end - view.start, Math.min(SHORTEST, duration)), duration);
  const start = Math.min(Math.max(view.start, 0), duration - length);
  return { start, end: start + length };
}

/** `factor` below 1 shows less; the moment `around` stays where it is. */
export function zoomed(view: View, factor: number, around: number, duration: number): View {
  const length = Math.min(Math.max((view.end - view.start) * factor, Math.min(SHORTEST, duration)), duration);
  const share = (around - view.start) / (view.end - view.start);
  return held({ start: around - share * length, end: around + (1 - share) * length }, duration);
}

export function moved(view: View, seconds: number, duration: number): View {
  return held({ start: view.start + seconds, end: view.end + seconds }, duration);
}

/** A view that shows the moment: the same one when it does, else one that begins a tenth before it. */
export function showing(view: View, t: number, duration: number): View {
  if (t >= view.start && t <= view.end) return view;
  const length = view.end - view.start;
  return held({ start: t - length / 10, end: t + length * 0.9 }, duration);
}

const STEPS = [0.04, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];

/** Round moments in the view, at least `room` pixels apart, and the step between them. */
export function ticks(view: View, width: number, room: number): { step: number; at: number[] } {
  const perPixel = (view.end - view.start) / Math.max(width, 1);
  const step = STEPS.find((one) => one / perPixel >= room) ?? perPixel * Math.max(width, 1);
  const at: number[] = [];
  for (let index = Math.max(0, Math.ceil(view.start / step - 1e-9)); index * step <= view.end + 1e-9; index++) at.push(index * step);
  return { step, at };
}

/** Pictures of a filmstrip: moments in their middles, a power of two of a second apart, each at least `room` wide. */
export function pictures(view: View, width: number, room: number, duration: number): { step: number; at: number[] } {
  const perPixel = (view.end - view.start) / Math.max(width, 1);
  const step = 2 ** Math.ceil(Math.log2(Math.max(room * perPixel, 1 / 32)));
  const at: number[] = [];
  for (let index = Math.max(0, Math.floor(view.start / step)); index * step < Math.min(view.end, duration); index++) {
    at.push(index * step);
  }
  return { step, at };
}
