import { useEffect, useRef } from "preact/hooks";
import { useSignalEffect } from "@preact/signals";
import type { Speech } from "../api/types";
import type { Rect } from "../document/labels";
import type { Overlay } from "../document/overlays";
import { hidden, toggled } from "../state/choices";
import { useWorkspace, type Workspace } from "../state/workspace";
import { drawLabels, drawPicture, OVERLAY_COLOURS, prepared, type Tag } from "./drawing";
import { Icon } from "./Icon";
import { useSize } from "./useSize";

/** Text on screen that reaches into this share of the picture's height, above or below, is where subtitles would stand. */
const EDGE = 0.25;

/** What was found, drawn over the video, and what is being said. */
export function Overlays({ overlays }: { overlays: readonly Overlay[] }) {
  const workspace = useWorkspace();
  const canvas = useRef<HTMLCanvasElement>(null);
  const subtitles = useRef<HTMLSpanElement>(null);
  const size = useSize(canvas);
  const t = workspace.player.tenths.value;
  const isOff = hidden.value.includes("all");
  const speech = workspace.track("speech_transcription/segments")?.items;
  const said = isOff || hidden.value.includes("subtitles") ? undefined : speech?.find((one) => one.start <= t && t < one.end);

  const draw = () => {
    const context = canvas.current && prepared(canvas.current, size);
    const [off, now, selected] = [hidden.value, workspace.player.now.value, workspace.selected.value?.split("/").at(-1)];
    if (!context || !canvas.current || off.includes("all")) return;
    const tags: Tag[] = [];
    for (const overlay of overlays) {
      if (off.includes(overlay.name)) continue;
      const [picture, colour] = [overlay.at(now), OVERLAY_COLOURS[overlay.name] ?? "#ffffff"];
      drawPicture(context, size, picture, colour, selected ?? null);
      tags.push(...(picture.boxes ?? []).map((mark) => ({ mark, colour })));
    }
    tags.sort((a, b) => Number(b.mark.id === selected) - Number(a.mark.id === selected));
    drawLabels(context, size, tags, subtitles.current ? lines(subtitles.current, canvas.current) : []);
  };
  useSignalEffect(draw);
  useEffect(draw, [overlays, size, said]);
  return (
    <>
      <canvas class="overlay" ref={canvas} aria-hidden="true" />
      {said && (
        <p class={`subtitles ${stands(workspace, said)}`} aria-hidden="true">
          <span class="said" ref={subtitles}>
            {said.text}
          </span>
        </p>
      )}
    </>
  );
}

/** Where the lines of a text stand over a canvas. */
function lines(text: Element, canvas: Element): Rect[] {
  const { left, top } = canvas.getBoundingClientRect();
  return [...text.getClientRects()].map((line) => ({
    left: line.left - left,
    top: line.top - top,
    width: line.width,
    height: line.height,
  }));
}

/** Below, but above where the film itself has text below while this is said. */
function stands(workspace: Workspace, said: Speech): "above" | "below" {
  const shown = workspace.track("text_overlay/captions")?.items ?? [];
  const boxes = shown.filter((one) => one.start < said.end && one.end > said.start).map(({ box }) => box as readonly number[]);
  const isLow = boxes.some(([, y = 0, , h = 0]) => y + h > 1 - EDGE);
  const isHigh = boxes.some(([, y = 0]) => y < EDGE);
  return isLow && !isHigh ? "above" : "below";
}

/** A switch for each overlay, in the colour in which it is drawn. */
export function Switches({ overlays }: { overlays: readonly Overlay[] }) {
  const speech = useWorkspace().track("speech_transcription/segments");
  const all = [...overlays, ...(speech ? [{ name: "subtitles", label: "Subtitles", count: speech.items.length }] : [])];
  if (all.length === 0) return null;
  const isOff = hidden.value.includes("all");
  const flip = (name: string) => {
    hidden.value = isOff ? all.map((one) => one.name).filter((one) => one !== name) : toggled(hidden.value, name);
  };
  return (
    <fieldset class="switches">
      <legend class="hidden">Drawn over the video</legend>
      {all.map(({ name, label, count }) => (
        <label key={name} class={count ? "switch" : "switch none"} title={count ? "" : "looked, and found none"}>
          <input
            type="checkbox"
            checked={!isOff && !hidden.value.includes(name)}
            disabled={count === 0}
            onChange={() => flip(name)}
          />
          <i style={{ background: OVERLAY_COLOURS[name] }}>
            <Icon name="check" />
          </i>
          {label} <span class="soft num">{count}</span>
        </label>
      ))}
    </fieldset>
  );
}
