import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { address } from "../api/client";
import { palette } from "../state/choices";
import { useWorkspace } from "../state/workspace";
import { clock } from "../text/words";
import { coloursOf } from "../timeline/draw";
import { decode, fromLoudness, type Waveform as Sound } from "../timeline/sound";
import { pictures, pixelsOf, ticks } from "../timeline/view";
import { prepared } from "./drawing";
import { Picture } from "./Picture";

const FILM_PIXELS = 56;
const SOUND_PIXELS = 44;
/** Narrow pictures are cut to this width at least: each costs the service a decoding. */
const LEAST_PICTURE_PIXELS = 48;
const PICTURE_WIDTH = 160;
/** Pictures are asked for when the view has stood still for so long. */
const SETTLE_MS = 150;

/** Round moments, cuts, and where the search has found something. */
export function Ruler({ width }: { width: number }) {
  const workspace = useWorkspace();
  const view = workspace.view.value;
  const { step, at } = ticks(view, width, 64);
  const digits = step < 0.1 ? 2 : step < 1 ? 1 : 0;
  const xOf = (t: number) => pixelsOf(view, width, t);
  const isIn = (t: number) => t >= view.start && t <= view.end;
  return (
    <div class="ruler">
      {at.map((t) => (
        <span key={t} class="tick num" style={{ left: `${xOf(t)}px` }}>
          {clock(t, digits)}
        </span>
      ))}
      {workspace.shots.value.slice(1).map(({ start }) =>
        isIn(start) ? <i key={start} class="cut" title={`cut at ${clock(start)}`} style={{ left: `${xOf(start)}px` }} /> : null,
      )}
      {workspace.hits.value.map((hit) =>
        isIn(hit.t) ? <i key={`${hit.track}${hit.item}${hit.from}`} class="found" style={{ left: `${xOf(hit.t)}px` }} /> : null,
      )}
    </div>
  );
}

/** Pictures of the video along the axis. */
export function Filmstrip({ width }: { width: number }) {
  const { store, player, view: shown } = useWorkspace();
  const view = shown.value;
  const [settled, setSettled] = useState(view);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(view), SETTLE_MS);
    return () => clearTimeout(timer);
  }, [view]);
  const { media, duration } = player;
  const room = Math.max(FILM_PIXELS * ((media.width ?? 16) / (media.height ?? 9)), LEAST_PICTURE_PIXELS);
  const strip = useMemo(() => pictures(settled, width, room, duration), [settled, width, room, duration]);
  if (!media.streams.some((stream) => stream.chosen && stream.kind === "video")) return <p class="soft small">none</p>;
  return (
    <div class="film" aria-hidden="true">
      {width > 0 &&
        strip.at.map((t) => {
          const end = Math.min(t + strip.step, duration);
          const [left, right] = [pixelsOf(view, width, t), pixelsOf(view, width, end)];
          return (
            <Picture
              key={t}
              src={address.frame(store.id, (t + end) / 2, PICTURE_WIDTH)}
              alt=""
              fetchpriority="low"
              draggable={false}
              style={{ left: `${left}px`, width: `${Math.max(right - left, 1)}px` }}
            />
          );
        })}
    </div>
  );
}

/** How loud it is. */
export function Waveform({ width }: { width: number }) {
  const workspace = useWorkspace();
  const { store, player } = workspace;
  const [sound, setSound] = useState<Sound | null>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const loudness = workspace.track("audio_analysis/loudness");
  const view = workspace.view.value;
  const shades = palette.value;
  const drawn = sound ?? (loudness ? fromLoudness(loudness) : null);

  useEffect(() => {
    const abort = new AbortController();
    decode(store.id, player.media, abort.signal).then(setSound, () => setSound(null)); // the loudness stays
    return () => abort.abort();
  }, [store, player]);

  useEffect(() => {
    const context = canvas.current && prepared(canvas.current, { width, height: SOUND_PIXELS });
    if (!context || !canvas.current || !drawn) return;
    context.fillStyle = coloursOf(canvas.current).hue;
    const perPixel = (view.end - view.start) / Math.max(width, 1);
    for (let x = 0; x < width; x++) {
      const first = Math.floor((view.start + x * perPixel) * drawn.perSecond);
      const last = Math.max(first + 1, Math.floor((view.start + (x + 1) * perPixel) * drawn.perSecond));
      let peak = 0;
      for (let index = first; index < last; index++) peak = Math.max(peak, drawn.peaks[index] ?? 0);
      const size = Math.max(peak * (SOUND_PIXELS - 4), 1);
      context.fillRect(x, (SOUND_PIXELS - size) / 2, 1, size);
    }
  }, [drawn, view, width, shades]);

  const hasSound = player.media.streams.some((stream) => stream.chosen && stream.kind === "audio");
  return hasSound ? <canvas class="wave g-light" ref={canvas} aria-hidden="true" /> : <p class="soft small">none</p>;
}
