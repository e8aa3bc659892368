import { useEffect, useMemo, useRef } from "preact/hooks";
import { useSignalEffect } from "@preact/signals";
import { address } from "../api/client";
import { overlays, type Overlay } from "../document/overlays";
import { hidden, toggled } from "../state/choices";
import { RATES } from "../state/player";
import { useWorkspace } from "../state/workspace";
import { clock, lasting } from "../text/words";
import { drawPicture, OVERLAY_COLOURS, prepared } from "./drawing";
import { Icon } from "./Icon";
import { useSize } from "./useSize";

/** The video with what was found drawn over it, its controls, and a switch for each overlay. */
export function PlayerView() {
  const { store, player } = useWorkspace();
  const video = useRef<HTMLVideoElement>(null);
  const frame = useRef<HTMLDivElement>(null);
  useEffect(() => (video.current ? player.attach(video.current) : undefined), [player]);
  const tracks = store.tracks.value;
  const workspace = useWorkspace();
  const drawn = useMemo(() => overlays((id) => workspace.track(id)), [tracks, workspace]);
  const hasPictures = player.media.streams.some((one) => one.chosen && one.kind === "video");
  return (
    <section class="player" aria-label="Player">
      <div class={hasPictures ? "screen" : "screen sound-only"} ref={frame}>
        <video
          ref={video}
          src={address.video(store.id)}
          preload="auto"
          playsInline
          tabIndex={-1}
          onClick={() => player.toggle()}
        />
        {player.canPlay.value === false && hasPictures && <Still />}
        <Overlays overlays={drawn} />
        <Subtitles />
      </div>
      {player.canPlay.value === false && (
        <p class="warn small" role="status">
          This browser cannot play this file. Stills are shown instead; everything else works.
        </p>
      )}
      <Controls fullscreen={() => void frame.current?.requestFullscreen()} />
      <Switches overlays={drawn} />
    </section>
  );
}

/** The picture at the playhead, where the browser cannot play the file. */
function Still() {
  const { store, player } = useWorkspace();
  const t = Math.min(player.tenths.value, player.duration);
  return <img class="still" src={address.frame(store.id, t, 720)} alt={`The picture at ${clock(t)}`} />;
}

function Overlays({ overlays: drawn }: { overlays: readonly Overlay[] }) {
  const workspace = useWorkspace();
  const canvas = useRef<HTMLCanvasElement>(null);
  const size = useSize(canvas);
  const draw = () => {
    const context = canvas.current && prepared(canvas.current, size);
    const off = hidden.value;
    const t = workspace.player.now.value;
    const selected = workspace.selected.value?.split("/").at(-1) ?? null;
    if (!context || off.includes("all")) return;
    for (const overlay of drawn) {
      if (off.includes(overlay.name)) continue;
      drawPicture(context, size, overlay.at(t), OVERLAY_COLOURS[overlay.name] ?? "#ffffff", selected);
    }
  };
  useSignalEffect(draw);
  useEffect(draw, [drawn, size]);
  return <canvas class="overlay" ref={canvas} aria-hidden="true" />;
}

/** What is being said, under the picture. */
function Subtitles() {
  const workspace = useWorkspace();
  const t = workspace.player.tenths.value;
  const said = workspace.track("speech_transcription/segments")?.items.find((one) => one.start <= t && t < one.end);
  if (!said || hidden.value.includes("subtitles") || hidden.value.includes("all")) return null;
  return (
    <p class="subtitles" aria-hidden="true">
      <span class="said">{said.text}</span>
    </p>
  );
}

function Switches({ overlays: drawn }: { overlays: readonly Overlay[] }) {
  const workspace = useWorkspace();
  const speech = workspace.track("speech_transcription/segments");
  const all = [...drawn, ...(speech ? [{ name: "subtitles", label: "Subtitles", count: speech.items.length }] : [])];
  if (all.length === 0) return null;
  return (
    <fieldset class="switches">
      <legend class="hidden">Drawn over the video</legend>
      {all.map(({ name, label, count }) => (
        <label key={name} class={count ? "switch" : "switch none"} title={count ? "" : "looked, and found none"}>
          <input
            type="checkbox"
            checked={!hidden.value.includes(name)}
            disabled={count === 0}
            onChange={() => (hidden.value = toggled(hidden.value.filter((one) => one !== "all"), name))}
          />
          <i style={{ background: OVERLAY_COLOURS[name] ?? "#fff" }} />
          {label} <span class="soft num">{count}</span>
        </label>
      ))}
    </fieldset>
  );
}

function Controls({ fullscreen }: { fullscreen: () => void }) {
  const { player } = useWorkspace();
  const isPlaying = player.isPlaying.value;
  return (
    <div class="controls">
      <SeekBar />
      <div class="buttons" role="group" aria-label="Playback">
        <button class="icon-button" onClick={() => player.step(-1)} aria-label="One frame back" title="One frame back (,)">
          <Icon name="previous" />
        </button>
        <button
          class="icon-button primary"
          onClick={() => player.toggle()}
          aria-label={isPlaying ? "Pause" : "Play"}
          title={isPlaying ? "Pause (Space)" : "Play (Space)"}
        >
          <Icon name={isPlaying ? "pause" : "play"} />
        </button>
        <button class="icon-button" onClick={() => player.step(1)} aria-label="One frame forward" title="One frame forward (.)">
          <Icon name="next" />
        </button>
        <Clock />
        <span class="gap" />
        <label class="rate">
          <span class="hidden">Speed</span>
          <select
            value={String(player.rate.value)}
            onChange={(event) => player.setRate(Number(event.currentTarget.value))}
            title="Speed (< >)"
          >
            {RATES.map((rate) => (
              <option key={rate} value={String(rate)}>
                {rate}×
              </option>
            ))}
          </select>
        </label>
        <button
          class="icon-button"
          onClick={() => player.toggleMute()}
          aria-label={player.isMuted.value ? "Sound on" : "Sound off"}
          title="Sound (M)"
        >
          <Icon name={player.isMuted.value ? "muted" : "sound"} />
        </button>
        <button class="icon-button" onClick={fullscreen} aria-label="Full screen" title="Full screen">
          <Icon name="full" />
        </button>
      </div>
    </div>
  );
}

function SeekBar() {
  const workspace = useWorkspace();
  const { player } = workspace;
  const now = player.now.value;
  return (
    <input
      class="seek"
      type="range"
      min={0}
      max={player.duration}
      step={0.001}
      value={now}
      aria-label="Position"
      aria-valuetext={`${clock(now)} of ${clock(player.duration)}`}
      style={{ "--done": `${(now / player.duration) * 100}%` }}
      onInput={(event) => workspace.go(Number(event.currentTarget.value))}
      onKeyDown={(event) => {
        if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
        workspace.go(player.now.value + (event.key === "ArrowLeft" ? -1 : 1) * (event.shiftKey ? 5 : 1));
        event.preventDefault();
      }}
    />
  );
}

function Clock() {
  const { player } = useWorkspace();
  const now = player.now.value;
  const frame = Math.floor(now / player.frameSeconds + 0.01);
  const title = player.media.fps ? `Frame ${frame}, a frame lasts ${lasting(player.frameSeconds)}` : "";
  return (
    <span class="clock num" title={title} data-testid="clock">
      <b>{clock(now, 2)}</b>
      <span class="soft"> / {clock(player.duration, 0)}</span>
    </span>
  );
}
