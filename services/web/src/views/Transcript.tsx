import { useEffect, useRef } from "preact/hooks";
import type { Caption, Speech } from "../api/types";
import { useWorkspace } from "../state/workspace";
import { clock } from "../text/words";
import { Prose } from "./Prose";

/** Words that a model trusts less than this are marked. */
const UNSURE = 0.5;

/** What is said and what is written, following the playhead. */
export function Transcript() {
  const workspace = useWorkspace();
  const speech = workspace.track("speech_transcription/segments");
  const text = workspace.track("text_overlay/captions");
  return (
    <div class="transcript">
      <section aria-labelledby="said-title">
        <h3 id="said-title">Said</h3>
        {!speech && <Missing analyzer="speech_transcription" />}
        {speech?.items.length === 0 && <p class="soft">Nothing is said.</p>}
        <ol class="lines">{speech?.items.map((one) => <Sentence key={one.id} segment={one} />)}</ol>
      </section>
      <section aria-labelledby="shown-title">
        <h3 id="shown-title">Written on screen</h3>
        {!text && <Missing analyzer="text_overlay" />}
        {text?.items.length === 0 && <p class="soft">No text was read.</p>}
        <ol class="lines">{text?.items.map((one) => <Line key={one.id} caption={one} />)}</ol>
      </section>
    </div>
  );
}

function Missing({ analyzer }: { analyzer: string }) {
  const { store } = useWorkspace();
  const report = store.reports.value.get(analyzer);
  const state = store.view.value?.analyzers.find((one) => one.name === analyzer);
  const why = report?.error?.message ?? state?.error?.message;
  if (why) {
    return (
      <p class="soft">
        Not known: <Prose text={why} />.
      </p>
    );
  }
  return <p class="soft">{state && store.isOpen.value ? "Not there yet." : "Nobody looked for it."}</p>;
}

function Sentence({ segment }: { segment: Speech }) {
  const workspace = useWorkspace();
  const line = useRef<HTMLLIElement>(null);
  const t = workspace.player.tenths.value + 0.05;
  const isNow = segment.start <= t && t < segment.end;
  const isPlaying = workspace.player.isPlaying.value;
  useEffect(() => {
    if (isNow && isPlaying) intoView(line.current);
  }, [isNow, isPlaying]);
  const id = `speech_transcription/segments/${segment.id}`;
  return (
    <li ref={line} class={isNow ? "now" : ""} aria-current={isNow ? "true" : undefined}>
      <button class="num" onClick={() => workspace.go(segment.start, id)} aria-label={`Go to ${clock(segment.start)}`}>
        {clock(segment.start)}
      </button>
      <p class="said">
        {segment.words.length === 0 && segment.text}
        {segment.words.map((word) => {
          const looks = [
            isNow && word.start <= t && t < word.end ? "spoken" : "",
            word.confidence !== null && word.confidence < UNSURE ? "unsure" : "",
          ];
          return (
            <span
              key={word.start}
              class={`word ${looks.join(" ")}`}
              title={word.confidence === null ? "" : `confidence ${word.confidence.toFixed(2)}`}
              onClick={() => workspace.go(word.start, id)}
            >
              {word.text.trim()}{" "}
            </span>
          );
        })}
      </p>
    </li>
  );
}

function Line({ caption }: { caption: Caption }) {
  const workspace = useWorkspace();
  const t = workspace.player.tenths.value;
  const isNow = caption.start <= t && t < caption.end;
  return (
    <li class={isNow ? "now" : ""} aria-current={isNow ? "true" : undefined}>
      <button
        class="num"
        onClick={() => workspace.go(caption.start, `text_overlay/captions/${caption.id}`)}
        aria-label={`Go to ${clock(caption.start)}`}
      >
        {clock(caption.start)}
      </button>
      <p class="said">{caption.text}</p>
    </li>
  );
}

/** Scroll the panel around an element, and nothing else of the page. */
function intoView(element: HTMLElement | null): void {
  const panel = element?.closest<HTMLElement>(".scrolls");
  if (!element || !panel) return;
  const [inner, outer] = [element.getBoundingClientRect(), panel.getBoundingClientRect()];
  if (inner.top >= outer.top && inner.bottom <= outer.bottom) return;
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  panel.scrollBy({ top: inner.top - outer.top - outer.height / 3, behavior: isCalm ? "auto" : "smooth" });
}
