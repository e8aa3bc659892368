/** The playhead: one moment that the video, the timeline and every panel share. Times are seconds. */
import { computed, signal } from "@preact/signals";
import type { MediaInfo } from "../api/types";

export const RATES = [0.25, 0.5, 1, 1.5, 2, 4] as const;
/** How often the picture changes while the film runs backwards. */
const BACKWARDS_MS = 100;
/** Frames of this rate are assumed where the file does not say. */
const USUAL_FPS = 25;
/** What breaks so long after it was opened is no file that cannot be played: a bucket's address is good for a while. */
const OPENED_MS = 10_000;

export class Player {
  readonly now = signal(0);
  readonly isPlaying = signal(false);
  readonly rate = signal(1);
  readonly isMuted = signal(false);
  /** Null as long as nobody knows whether the browser can play this file. */
  readonly canPlay = signal<boolean | null>(null);
  readonly duration: number;
  readonly frameSeconds: number;
  /** The time as whole tenths, for what need not change with every frame. */
  readonly tenths = computed(() => Math.floor(this.now.value * 10) / 10);
  private video: HTMLVideoElement | null = null;
  private backwards: { speed: number; timer: number } | null = null;

  constructor(readonly media: MediaInfo) {
    const [numerator = USUAL_FPS, denominator = 1] = (media.fps ?? "").split("/").filter(Boolean).map(Number);
    this.duration = Math.max(media.duration_seconds, 0.001);
    this.frameSeconds = denominator / numerator;
  }

  /** Follow a video element until the returned function is called. */
  attach(video: HTMLVideoElement): () => void {
    this.video = video;
    const abort = new AbortController();
    const on = (name: string, heard: () => void) => video.addEventListener(name, heard, { signal: abort.signal });
    on("play", () => (this.isPlaying.value = true));
    on("pause", () => (this.isPlaying.value = false));
    on("ended", () => (this.isPlaying.value = false));
    on("ratechange", () => (this.rate.value = video.playbackRate));
    on("volumechange", () => (this.isMuted.value = video.muted));
    let openedAt = Infinity;
    const opened = () => {
      this.canPlay.value = true;
      openedAt = Date.now();
    };
    on("loadedmetadata", opened);
    on("error", () => {
      const wasOpen = Date.now() - openedAt > OPENED_MS;
      openedAt = Infinity;
      if (wasOpen) this.reopen(video);
      else this.canPlay.value = false;
    });
    on("seeked", () => (this.now.value = video.currentTime));
    if ("requestVideoFrameCallback" in video) {
      const shown = (_: number, { mediaTime }: VideoFrameCallbackMetadata) => {
        if (!video.seeking) this.now.value = mediaTime;
        if (!abort.signal.aborted) video.requestVideoFrameCallback(shown);
      };
      video.requestVideoFrameCallback(shown);
    }
    // sound without pictures has no frames, and some browsers have no callback for them
    on("timeupdate", () => {
      if (!video.seeking && Math.abs(video.currentTime - this.now.value) > 0.25) this.now.value = video.currentTime;
    });
    if (video.readyState >= HTMLMediaElement.HAVE_METADATA) opened();
    return () => {
      this.endBackwards();
      abort.abort();
      this.video = null;
    };
  }

  /** Ask the service for the video once more, and go on from where it was. */
  private reopen(video: HTMLVideoElement): void {
    const { paused, playbackRate } = video;
    video.load();
    video.currentTime = this.now.value;
    video.playbackRate = playbackRate;
    if (!paused) this.play();
  }

  seek(t: number): void {
    const held = Math.min(Math.max(t, 0), this.duration);
    this.now.value = held;
    if (this.video && this.canPlay.value !== false) this.video.currentTime = held;
  }

  toggle(): void {
    if (this.isPlaying.value || this.backwards) this.pause();
    else this.play();
  }

  play(): void {
    if (!this.video || this.canPlay.value === false) return;
    this.video.play().catch((error: unknown) => {
      if ((error as DOMException).name === "NotSupportedError") this.canPlay.value = false;
    });
  }

  pause(): void {
    this.endBackwards();
    this.video?.pause();
  }

  /** Play forwards (1) or backwards (-1); again: twice as fast. Browsers cannot play backwards, so frames are sought. */
  shuttle(direction: 1 | -1): void {
    if (direction > 0) {
      this.endBackwards();
      if (this.isPlaying.value) this.shift(1);
      else this.play();
      return;
    }
    const speed = Math.min((this.backwards?.speed ?? 0.5) * 2, 8);
    this.pause();
    const timer = window.setInterval(() => {
      if (this.now.value <= 0) this.endBackwards();
      else if (!this.video?.seeking) this.seek(this.now.value - (BACKWARDS_MS / 1000) * speed);
    }, BACKWARDS_MS);
    this.backwards = { speed, timer };
  }

  private endBackwards(): void {
    if (this.backwards) clearInterval(this.backwards.timer);
    this.backwards = null;
  }

  /** Move by whole frames, to their middles, where rounding cannot show the one before. */
  step(frames: number): void {
    this.pause();
    const index = Math.floor(this.now.value / this.frameSeconds + 0.01) + frames;
    this.seek((Math.max(index, 0) + 0.5) * this.frameSeconds);
  }

  setRate(rate: number): void {
    this.rate.value = rate;
    if (this.video) this.video.playbackRate = rate;
  }

  /** The next faster (1) or slower (-1) rate. */
  shift(direction: 1 | -1): void {
    const faster = RATES.find((rate) => rate > this.rate.value) ?? RATES[RATES.length - 1];
    const slower = RATES.filter((rate) => rate < this.rate.value).at(-1) ?? RATES[0];
    this.setRate((direction > 0 ? faster : slower) ?? 1);
  }

  toggleMute(): void {
    if (this.video) this.video.muted = !this.video.muted;
  }
}
