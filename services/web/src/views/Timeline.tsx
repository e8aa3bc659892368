import { useRef } from "preact/hooks";
import { useSignal, useSignalEffect } from "@preact/signals";
import { size } from "../document/items";
import { folded, showsEmpty, toggled } from "../state/choices";
import { groups } from "../state/catalogue";
import { useWorkspace } from "../state/workspace";
import { clock, count, title } from "../text/words";
import { showing, type View } from "../timeline/view";
import type { LaneGroup } from "../timeline/lanes";
import { Filmstrip, Ruler, Waveform } from "./Film";
import { Icon } from "./Icon";
import { LaneRow } from "./LaneRow";
import { Playhead, Tip, type Hover } from "./Playhead";
import { usePointer } from "./usePointer";
import { useSize } from "./useSize";

/** One lane a track, under pictures and sound; everything on one axis. */
export function Timeline() {
  const workspace = useWorkspace();
  const { player } = workspace;
  const plots = useRef<HTMLDivElement>(null);
  const ruler = useRef<HTMLDivElement>(null);
  const { width } = useSize(ruler);
  const hover = useSignal<Hover | null>(null);
  usePointer(plots, ruler, hover);
  const all = workspace.lanes.value;
  const shown = showsEmpty.value ? all : filled(all);

  // while it plays, the view follows the playhead
  useSignalEffect(() => {
    const now = player.now.value;
    if (!player.isPlaying.value) return;
    const view = workspace.view.peek();
    const shown = showing(view, now, player.duration);
    if (shown !== view) workspace.view.value = shown;
  });

  return (
    <section class="timeline card" aria-labelledby="timeline-title">
      <header>
        <h2 id="timeline-title">Timeline</h2>
        <p class="soft small num">
          {clock(workspace.view.value.start)}–{clock(workspace.view.value.end)}
        </p>
        <EmptyLanes groups={all} />
        <div class="buttons" role="group" aria-label="Zoom">
          <button class="icon-button" onClick={() => workspace.zoom(2)} aria-label="Zoom out" title="Zoom out (−)">
            <Icon name="minus" />
          </button>
          <button class="icon-button" onClick={() => workspace.zoom(0.5)} aria-label="Zoom in" title="Zoom in (+)">
            <Icon name="plus" />
          </button>
          <button class="icon-button" onClick={() => workspace.showAll()} aria-label="Show all" title="Show all (0)">
            <Icon name="fit" />
          </button>
        </div>
      </header>
      <div class="plots" ref={plots} data-testid="plots">
        <div class="always">
          <div class="row ruler-row">
            <span class="row-name" />
            <div class="plot" ref={ruler} data-zone="scrub">
              <Ruler width={width} />
            </div>
          </div>
          <div class="row">
            <span class="row-name soft">Pictures</span>
            <div class="plot" data-zone="scrub">
              <Filmstrip width={width} />
            </div>
          </div>
          <div class="row">
            <span class="row-name soft">Sound</span>
            <div class="plot" data-zone="scrub">
              <Waveform width={width} />
            </div>
          </div>
          <Playhead width={width} hover={hover} name="playhead" />
        </div>
        {shown.map((group) => (
          <Group key={group.name} group={group} view={workspace.view.value} width={width} />
        ))}
        {all.length === 0 && (
          <p class="soft">{workspace.store.isOpen.value ? "Lanes show up as analyzers finish." : "No track was made."}</p>
        )}
        <Playhead width={width} hover={hover} />
      </div>
      <Tip hover={hover} />
      <Legend />
    </section>
  );
}

/** Whether lanes are shown of what was looked for and not found. */
function EmptyLanes({ groups: all }: { groups: readonly LaneGroup[] }) {
  const empty = all.flatMap((group) => group.lanes).filter((lane) => size(lane.track) === 0).length;
  if (empty === 0) return null;
  return (
    <label class="switch">
      <input type="checkbox" checked={showsEmpty.value} onChange={() => (showsEmpty.value = !showsEmpty.value)} />
      <i>
        <Icon name="check" />
      </i>
      Empty lanes <span class="soft num">{empty}</span>
    </label>
  );
}

function filled(all: readonly LaneGroup[]): readonly LaneGroup[] {
  const kept = all.map((group) => ({ ...group, lanes: group.lanes.filter((lane) => size(lane.track) > 0) }));
  return kept.filter((group) => group.lanes.length > 0);
}

function Group({ group, view, width }: { group: LaneGroup; view: View; width: number }) {
  const isFolded = folded.value.includes(group.name);
  const purpose = groups.value.find((one) => one.name === group.name)?.purpose ?? "";
  const id = `lanes-${group.name}`;
  return (
    <section class={`lane-group g-${group.name}`} aria-label={title(group.name)}>
      <h3>
        <button
          aria-expanded={!isFolded}
          aria-controls={id}
          onClick={() => (folded.value = toggled(folded.value, group.name))}
        >
          <Icon name="chevron" />
          <i class="dot" />
          {title(group.name)}
          <span class={isFolded ? "soft" : "soft wide-only"}> {isFolded ? count(group.lanes.length, "lane") : purpose}</span>
        </button>
      </h3>
      <ul id={id} hidden={isFolded}>
        {!isFolded && group.lanes.map((lane) => <LaneRow key={lane.id} lane={lane} view={view} width={width} />)}
      </ul>
    </section>
  );
}

function Legend() {
  return (
    <p class="legend soft small">
      <span>
        <i class="sample sure" /> sure
      </span>
      <span>
        <i class="sample unsure" /> less sure
      </span>
      <span>
        <i class="sample hole" /> not looked at
      </span>
      <span class="wide-only">Wheel: zoom · drag: pan · click: go there · a lane’s name: its list</span>
    </p>
  );
}
