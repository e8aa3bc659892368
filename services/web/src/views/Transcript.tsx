import type { ComponentType } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Caption, Speech } from "../api/types";
import { besides, type Worded } from "../document/lines";
import { useWorkspace } from "../state/workspace";
import { clock } from "../text/words";
import { Prose } from "./Prose";

/** Words that a model trusts less than this are marked. */
const UNSURE = 0.5;
const LINE_STEPS: Readonly<Record<string, number>> = { ArrowUp: -1, ArrowDown: 1, Home: -Infinity, End: Infinity };
const WORD_STEPS: Readonly<Record<string, 1 | -1>> = { ArrowLeft: -1, ArrowRight: 1 };

interface Line extends Worded {
  readonly id: string;
}

interface BodyOf<L extends Line> {
  readonly line: L;
  /** The moment in seconds while it lies in the line, else null. */
  readonly now: number | null;
  readonly go: (t: number) => void;
}

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
        {speech && <Lines lines={speech.items} track="speech_transcription/segments" Body={Sentence} />}
      </section>
      <section aria-labelledby="shown-title">
        <h3 id="shown-title">Written on screen</h3>
        {!text && <Missing analyzer="text_overlay" />}
        {text?.items.length === 0 && <p class="soft">No text was read.</p>}
        {text && <Lines lines={text.items.map(wordless)} track="text_overlay/captions" Body={Written} />}
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

const wordless = (caption: Caption) => ({ ...caption, words: [] });

interface LinesOf<L extends Line> {
  readonly lines: readonly L[];
  readonly track: string;
  readonly Body: ComponentType<BodyOf<L>>;
}

/** Lines of a track. The Tab key stops at one: up and down lead from line to line, left and right from word to word. */
function Lines<L extends Line>({ lines, track, Body }: LinesOf<L>) {
  const workspace = useWorkspace();
  const { player } = workspace;
  const list = useRef<HTMLOListElement>(null);
  const gone = useRef(NaN);
  const [stop, setStop] = useState(0);
  const last = lines.length - 1;
  const step = (line: L, side: 1 | -1) => {
    // the picture that is shown began before the word that was gone to
    const isThere = Math.abs(player.now.value - gone.current) <= player.frameSeconds;
    gone.current = besides(line, isThere ? gone.current : player.now.value, side);
    workspace.go(gone.current, `${track}/${line.id}`);
  };
  const pressed = (event: KeyboardEvent, index: number) => {
    const [line, down, side] = [lines[index], LINE_STEPS[event.key], WORD_STEPS[event.key]];
    if (!line || event.ctrlKey || event.metaKey || event.altKey || !(down || side)) return;
    event.preventDefault();
    if (down) list.current?.querySelectorAll("button")[Math.min(Math.max(index + down, 0), last)]?.focus();
    if (side) step(line, side);
  };
  return (
    <ol class="lines" ref={list}>
      {lines.map((line, index) => (
        <Row
          key={line.id}
          line={line}
          cited={`${track}/${line.id}`}
          isStop={index === Math.min(stop, last)}
          onFocus={() => setStop(index)}
          onKeyDown={(event) => pressed(event, index)}
          Body={Body}
        />
      ))}
    </ol>
  );
}

interface RowOf<L extends Line> {
  readonly line: L;
  readonly cited: string;
  readonly isStop: boolean;
  readonly onFocus: () => void;
  readonly onKeyDown: (event: KeyboardEvent) => void;
  readonly Body: ComponentType<BodyOf<L>>;
}

function Row<L extends Line>({ line, cited, isStop, onFocus, onKeyDown, Body }: RowOf<L>) {
  const workspace = useWorkspace();
  const row = useRef<HTMLLIElement>(null);
  const t = workspace.player.tenths.value + 0.05;
  const isNow = line.start <= t && t < line.end;
  const isPlaying = workspace.player.isPlaying.value;
  useEffect(() => {
    if (isNow && isPlaying) intoView(row.current);
  }, [isNow, isPlaying]);
  const go = (moment: number) => workspace.go(moment, cited);
  return (
    <li ref={row} class={isNow ? "now" : ""} aria-current={isNow ? "true" : undefined}>
      <button
        class="num"
        tabIndex={isStop ? 0 : -1}
        onFocus={onFocus}
        onKeyDown={onKeyDown}
        onClick={() => go(line.start)}
        aria-label={`Go to ${clock(line.start)}`}
        title={line.words.length ? "Left and right: word by word; up and down: other lines" : "Up and down: other lines"}
      >
        {clock(line.start)}
      </button>
      <Body line={line} now={isNow ? t : null} go={go} />
    </li>
  );
}

function Sentence({ line, now, go }: BodyOf<Speech>) {
  return (
    <p class="said">
      {line.words.length === 0 && (
        <span class="word" onClick={() => go(line.start)}>
          {line.text}
        </span>
      )}
      {line.words.map((word) => {
        const looks = [
          now !== null && word.start <= now && now < word.end ? "spoken" : "",
          word.confidence !== null && word.confidence < UNSURE ? "unsure" : "",
        ];
        return (
          <span
            key={word.start}
            class={`word ${looks.join(" ")}`}
            title={word.confidence === null ? "" : `confidence ${word.confidence.toFixed(2)}`}
            onClick={() => go(word.start)}
          >
            {word.text.trim()}{" "}
          </span>
        );
      })}
    </p>
  );
}

function Written({ line, go }: BodyOf<Caption & Worded>) {
  return (
    <p class="said">
      <span class="word" onClick={() => go(line.start)}>
        {line.text}
      </span>
    </p>
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
