import { useRef, useState } from "preact/hooks";
import type { Hit, Where } from "../document/search";
import { useWorkspace } from "../state/workspace";
import { clock, count, plain } from "../text/words";
import { Icon } from "./Icon";

const TITLES: Readonly<Record<Where, string>> = {
  said: "Said",
  shown: "Text on screen",
  seen: "Seen",
  noted: "Noted",
};
const MOST_SHOWN = 100;
/** Where hits lie over the video (style/job.css), so that they must go for it to be seen. */
const COVERS_VIDEO = "(max-width: 63.99rem)";

/** Search in this video; a hit leads to its moment. */
export function SearchBox() {
  const workspace = useWorkspace();
  const [isOpen, setIsOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const hits = workspace.hits.value;
  const query = workspace.query.value;

  const keys = (event: KeyboardEvent) => {
    if (event.key === "Escape") {
      setIsOpen(false);
      box.current?.querySelector("input")?.focus();
    }
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const stops = [...(box.current?.querySelectorAll<HTMLElement>("input, .hit") ?? [])];
    const at = stops.indexOf(document.activeElement as HTMLElement);
    stops[Math.min(Math.max(at + (event.key === "ArrowDown" ? 1 : -1), 0), stops.length - 1)]?.focus();
    event.preventDefault();
    event.stopPropagation();
  };
  const left = (event: FocusEvent) => {
    if (!box.current?.contains(event.relatedTarget as Node | null)) setIsOpen(false);
  };
  const gone = () => {
    if (matchMedia(COVERS_VIDEO).matches) setIsOpen(false);
  };
  return (
    <div class="search" role="search" ref={box} onKeyDown={keys} onFocusOut={left}>
      <Icon name="search" />
      <input
        id="search"
        type="search"
        placeholder="Search words, text, objects"
        aria-label="Search in this video"
        autocomplete="off"
        spellcheck={false}
        value={query}
        onFocus={() => setIsOpen(true)}
        onInput={(event) => {
          workspace.query.value = event.currentTarget.value;
          setIsOpen(true);
        }}
      />
      {query && (
        <p class="hidden" role="status">
          {count(hits.length, "hit")}
        </p>
      )}
      {isOpen && query && (
        <div class="results" tabIndex={-1}>
          {hits.length === 0 && <p class="soft">Nothing found for “{query}”.</p>}
          {(["said", "shown", "seen", "noted"] as const).map((where) => (
            <Hits key={where} where={where} hits={hits.filter((hit) => hit.where === where)} onGo={gone} />
          ))}
        </div>
      )}
    </div>
  );
}

function Hits({ where, hits, onGo }: { where: Where; hits: readonly Hit[]; onGo: () => void }) {
  const workspace = useWorkspace();
  if (hits.length === 0) return null;
  return (
    <section aria-label={TITLES[where]}>
      <h2>
        {TITLES[where]} <span class="soft">{hits.length}</span>
      </h2>
      <ul>
        {hits.slice(0, MOST_SHOWN).map((hit) => (
          <li key={`${hit.track}/${hit.item}/${hit.from}`}>
            <button class="hit" onClick={() => (workspace.go(hit.t, `${hit.track}/${hit.item}`), onGo())}>
              <time class="num">{clock(hit.t)}</time>
              <span class="said">
                {hit.text.slice(0, hit.from)}
                <mark>{hit.text.slice(hit.from, hit.to)}</mark>
                {hit.text.slice(hit.to)}
              </span>
              {where === "noted" && <span class="soft small">{plain(hit.track.split("/")[0] ?? "")}</span>}
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
