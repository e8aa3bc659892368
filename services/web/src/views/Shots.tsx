import { address } from "../api/client";
import type { Item, Track } from "../api/types";
import { span } from "../document/items";
import { useWorkspace } from "../state/workspace";
import { between, lasting, plain } from "../text/words";
import { Picture } from "./Picture";

const LABELS = ["object_detection/objects", "camera_analysis/motion"] as const;
const MOST_LABELS = 5;
const PICTURE_WIDTH = 320;

/** Every shot by a picture of its middle, with what is in it. */
export function Shots() {
  const workspace = useWorkspace();
  const { store, player } = workspace;
  const t = player.tenths.value;
  const shots = workspace.shots.value;
  if (!workspace.track("cut_analysis/shots")) return <p class="soft">Shots are not known{store.isOpen.value && " yet"}.</p>;
  const tracks = LABELS.map((id) => workspace.track(id)).filter((track) => track !== undefined);
  return (
    <ol class="shots">
      {shots.map(({ id, start, end }, index) => {
        const isNow = start <= t && t < end;
        return (
          <li key={id} class={isNow ? "now" : ""}>
            <button
              onClick={() => workspace.go(start, `cut_analysis/shots/${id}`)}
              aria-current={isNow ? "true" : undefined}
            >
              <Picture
                src={address.frame(store.id, (start + end) / 2, PICTURE_WIDTH)}
                alt=""
                loading="lazy"
                style={{ aspectRatio: `${player.media.width ?? 16} / ${player.media.height ?? 9}` }}
              />
              <span class="name">
                <b>Shot {index + 1}</b> <span class="soft num">{lasting(end - start)}</span>
              </span>
              <span class="soft small num">{between(start, end)}</span>
              <span class="labels">
                {labels(tracks, start, end).map((label) => (
                  <span key={label}>{label}</span>
                ))}
              </span>
            </button>
          </li>
        );
      })}
    </ol>
  );
}

/** Names of what fills at least half of the shot, or lies half in it. */
function labels(tracks: readonly Track[], start: number, end: number): string[] {
  const found = tracks.flatMap((track) => (track.kind === "series" ? [] : (track.items as readonly Item[])));
  const inside = found.filter((item) => {
    const [from, to] = span(item) ?? [0, 0];
    const overlap = Math.min(to, end) - Math.max(from, start);
    return overlap > 0 && overlap >= Math.min(to - from, end - start) / 2;
  });
  const names = inside.map((item) => ("label" in item ? item.label : "motion" in item ? item.motion : ""));
  return [...new Set(names.map((name) => plain(String(name))))].filter(Boolean).slice(0, MOST_LABELS);
}
