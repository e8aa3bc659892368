import { useEffect, useRef, useState } from "preact/hooks";
import type { Series } from "../api/types";
import { confidence, details, headline, isQuote, range, size, trackName, when } from "../document/items";
import { infoOf } from "../state/catalogue";
import { palette } from "../state/choices";
import { citation, useWorkspace } from "../state/workspace";
import { count, measure, plain } from "../text/words";
import { coloursOf, drawLane, laneHeight } from "../timeline/draw";
import { looked, NOT_LOOKED, type Lane } from "../timeline/lanes";
import type { View } from "../timeline/view";
import { Chart } from "./Chart";
import { prepared } from "./drawing";

const MOST_LISTED = 500;

/** One track: its name, which opens its list, and its marks. */
export function LaneRow({ lane, view, width }: { lane: Lane; view: View; width: number }) {
  const [isOpen, setIsOpen] = useState(false);
  const many = size(lane.track);
  const id = `list-${lane.id.replace("/", "-")}`;
  return (
    <li class={`row lane ${many ? lane.track.kind : "empty"}`} data-lane={lane.id}>
      <button
        class="row-name"
        aria-expanded={isOpen}
        aria-controls={id}
        title={infoOf.value.get(lane.analyzer)?.summary ?? ""}
        onClick={() => setIsOpen(!isOpen)}
      >
        <b>{trackName(lane.track)}</b>
        <span class="soft">
          {plain(lane.analyzer)}
          {lane.track.kind === "series" ? ` · ${extent(lane.track)}` : many ? ` · ${many}` : ""}
        </span>
      </button>
      <div class="plot">
        <LaneCanvas lane={lane} view={view} width={width} />
        {many === 0 && <Nothing lane={lane} />}
      </div>
      <div class="lane-list scrolls" id={id} hidden={!isOpen}>
        {isOpen && (lane.track.kind === "series" ? <Chart track={lane.track} /> : <Items lane={lane} />)}
      </div>
    </li>
  );
}

/** Why a lane is empty: nothing found, or nobody looked. */
function Nothing({ lane }: { lane: Lane }) {
  const { duration } = useWorkspace().player;
  const part = looked(lane.holes, duration);
  const outcome = lane.track.kind === "series" ? "nothing could be measured" : "found none";
  return (
    <p class="nothing soft small">
      <span>{part === "" ? `looked, ${outcome}` : part === NOT_LOOKED ? part : `${part}, ${outcome} there`}</span>
    </p>
  );
}

function extent(track: Series): string {
  const limits = range(track);
  if (!limits) return "none";
  return `${measure(limits[0], "1")} to ${measure(limits[1], track.unit === "share" ? "1" : track.unit)}`;
}

function LaneCanvas({ lane, view, width }: { lane: Lane; view: View; width: number }) {
  const workspace = useWorkspace();
  const canvas = useRef<HTMLCanvasElement>(null);
  const height = laneHeight(lane);
  const selected = workspace.selected.value;
  const mine = selected?.startsWith(`${lane.id}/`) ? selected.slice(lane.id.length + 1) : null;
  const shades = palette.value;
  useEffect(() => {
    const context = canvas.current && width > 0 && prepared(canvas.current, { width, height });
    if (context && canvas.current) drawLane(context, lane, { view, width, height }, coloursOf(canvas.current), mine);
  }, [lane, view, width, height, mine, shades]);
  return <canvas ref={canvas} style={{ height: `${height}px` }} aria-hidden="true" />;
}

/** All items of a track, to read and to go to. */
function Items({ lane }: { lane: Lane }) {
  const workspace = useWorkspace();
  const shown = lane.placed.slice(0, MOST_LISTED);
  return (
    <>
      <ol class="items" aria-label={`${plain(lane.analyzer)}, ${trackName(lane.track)}`}>
        {shown.map(({ item, start }) => (
          <li key={item.id}>
            <button
              aria-pressed={workspace.selected.value === citation(lane.id, item)}
              onClick={() => workspace.go(start, citation(lane.id, item))}
            >
              <time class="num soft">{when(item)}</time>
              <span class={isQuote(item) ? "said" : ""}>{headline(item)}</span>
              <span class="soft small">{details(item).join(" · ")}</span>
              {confidence(item) === null && <span class="hidden">no confidence given</span>}
            </button>
          </li>
        ))}
      </ol>
      {lane.placed.length > shown.length && (
        <p class="soft small">{count(lane.placed.length - shown.length, "more", "more")}: in the CSV and the document.</p>
      )}
    </>
  );
}
