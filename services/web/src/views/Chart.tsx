import { useEffect, useRef } from "preact/hooks";
import type { Series } from "../api/types";
import { range, trackName, valueAt } from "../document/items";
import { groupOf, infoOf } from "../state/catalogue";
import { palette } from "../state/choices";
import { useWorkspace } from "../state/workspace";
import { measure, number, plain } from "../text/words";
import { coloursOf, drawSeries } from "../timeline/draw";
import { pixelsOf, secondsOf } from "../timeline/view";
import { prepared } from "./drawing";
import { useSize } from "./useSize";

/** A series over the part of the video that the timeline shows, with its scale and its value at the playhead. */
export function Chart({ track }: { track: Series }) {
  const workspace = useWorkspace();
  const { player } = workspace;
  const canvas = useRef<HTMLCanvasElement>(null);
  const { width, height } = useSize(canvas);
  const view = workspace.view.value;
  const shades = palette.value;
  useEffect(() => {
    const context = canvas.current && width > 0 && prepared(canvas.current, { width, height });
    if (context && canvas.current) drawSeries(context, track, { view, width, height }, coloursOf(canvas.current));
  }, [track, view, width, height, shades]);
  const limits = range(track);
  const analyzer = track.analyzer ?? "";
  const now = valueAt(track, player.tenths.value);
  const x = pixelsOf(view, width, player.now.value);
  return (
    <figure class={`chart g-${groupOf.value.get(analyzer) ?? "other"}`}>
      <figcaption>
        <b>{trackName(track)}</b>
        <span class="soft small" title={infoOf.value.get(analyzer)?.summary ?? ""}>
          {plain(analyzer)}
          {track.unit !== "1" && `, ${track.unit}`}
        </span>
        <output class="num">{now === undefined ? "" : measure(now, track.unit)}</output>
      </figcaption>
      <div class="chart-body">
        <span class="scale num soft small" aria-label="scale">
          <span>{limits ? number(limits[1]) : ""}</span>
          <span>{limits ? number(limits[0]) : ""}</span>
        </span>
        <div class="chart-plot">
          <canvas
            ref={canvas}
            role="img"
            aria-label={
              limits
                ? `${trackName(track)} from ${measure(limits[0], track.unit)} to ${measure(limits[1], track.unit)}`
                : `${trackName(track)}: nothing measured`
            }
            onClick={(event) => {
              const { left } = event.currentTarget.getBoundingClientRect();
              workspace.go(secondsOf(view, width, event.clientX - left));
            }}
          />
          {x >= 0 && x <= width && <i class="playhead" style={{ transform: `translateX(${x}px)` }} />}
        </div>
      </div>
    </figure>
  );
}
