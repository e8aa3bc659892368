import { useEffect, useMemo, useRef } from "preact/hooks";
import { address } from "../api/client";
import { overlays } from "../document/overlays";
import { RATES } from "../state/player";
import { useWorkspace } from "../state/workspace";
import { clock, lasting } from "../text/words";
import { Icon } from "./Icon";
import { Overlays, Switches } from "./Overlays";
import { Picture } from "./Picture";

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
      </div>
      {player.canPlay.value === false && (
        <p class="warn small" role="status">
          This browser cannot play this file. Stills are shown instead; everything else works.
        </p>
      )}
      <Controls fullscreen={document.fullscreenEnabled ? () => void frame.current?.requestFullscreen() : null} />
      <Switches overlays={drawn} />
    </section>
  );
}

/** The picture at the playhead, where the browser cannot play the file. */
function Still() {
  const { store, player } = useWorkspace();
  const t = Math.min(player.tenths.value, player.duration);
  return <Picture class="still" src={address.frame(store.id, t, 720)} alt={`The picture at ${clock(t)}`} />;
}

function Controls({ fullscreen }: { fullscreen: (() => void) | null }) {
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
        {fullscreen && (
          <button class="icon-button" onClick={fullscreen} aria-label="Full screen" title="Full screen">
            <Icon name="full" />
          </button>
        )}
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
