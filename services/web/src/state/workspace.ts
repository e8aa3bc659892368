/** What the panels of one job share: the job, the playhead, the timeline's view, the search, and what is selected. */
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { computed, signal } from "@preact/signals";
import type { Item, Track, TrackOf } from "../api/types";
import { search } from "../document/search";
import { lanes } from "../timeline/lanes";
import { held, showing, zoomed, type View } from "../timeline/view";
import { groupNames, groupOf } from "./catalogue";
import type { JobStore } from "./job";
import { Player } from "./player";

export class Workspace {
  readonly player: Player;
  readonly view = signal<View>({ start: 0, end: 1 });
  readonly query = signal("");
  /** The panel beside the player that is open. */
  readonly panel = signal("insights");
  /** The selected item as `analyzer/track/item`, the way evidence cites it. */
  readonly selected = signal<string | null>(null);

  constructor(
    readonly store: JobStore,
    player: Player,
  ) {
    this.player = player;
    this.view.value = { start: 0, end: player.duration };
  }

  readonly hits = computed(() => search(this.store.tracks.value, this.query.value));

  readonly lanes = computed(() =>
    lanes(this.store.tracks.value, this.store.reports.value, groupOf.value, groupNames.value, this.player.duration),
  );

  readonly shots = computed(() => this.track("cut_analysis/shots")?.items ?? []);

  /** A track by its id; undefined when it is not there (yet). */
  track<Id extends NonNullable<Track["id"]>>(id: Id): TrackOf<Id> | undefined {
    return this.store.tracks.value.find((track) => track.id === id) as TrackOf<Id> | undefined;
  }

  get isZoomed(): boolean {
    const { start, end } = this.view.value;
    return end - start < this.player.duration - 1e-6;
  }

  /** Show less (`factor` below 1) or more around a moment, by default the playhead. */
  zoom(factor: number, around = this.player.now.value): void {
    this.view.value = zoomed(showing(this.view.value, around, this.player.duration), factor, around, this.player.duration);
  }

  showAll(): void {
    this.view.value = held({ start: 0, end: this.player.duration }, this.player.duration);
  }

  /** Go to a moment, and bring it into the timeline's view. */
  go(t: number, selected: string | null = this.selected.value): void {
    this.player.seek(t);
    this.selected.value = selected;
    this.view.value = showing(this.view.value, t, this.player.duration);
  }

  /** Go to the next cut, or the one before. */
  goToCut(direction: 1 | -1): void {
    const starts = this.shots.value.map((shot) => shot.start);
    const now = this.player.now.value;
    const found = direction > 0 ? starts.find((t) => t > now + 0.05) : starts.filter((t) => t < now - 0.15).at(-1);
    this.go(found ?? (direction > 0 ? this.player.duration : 0));
  }
}

/** How evidence cites an item. */
export function citation(track: Track | string, item: Item): string {
  return `${typeof track === "string" ? track : (track.id ?? "")}/${item.id}`;
}

export const WorkspaceContext = createContext<Workspace | null>(null);

export function useWorkspace(): Workspace {
  const workspace = useContext(WorkspaceContext);
  if (!workspace) throw new Error("no workspace around this component");
  return workspace;
}
