import { address } from "../api/client";
import type { Followed, ScalarTrack, Track, TrackOf } from "../api/types";
import { covered, headline, mixture, size, trackName, when } from "../document/items";
import { groupOf } from "../state/catalogue";
import { useWorkspace, type Workspace } from "../state/workspace";
import { clock, lasting, measure, number, plain, title } from "../text/words";
import { Picture } from "./Picture";

/** Faces are cut out of stills this wide, in pixels. */
const STILL_WIDTH = 720;
const FACE_PIXELS = 64;
/** A face is shown with this much around it, in sizes of its box. */
const AROUND = 1.5;

/** The video in short: what agrees or not, who and what is seen when, and its numbers. */
export function Insights() {
  const { store } = useWorkspace();
  if (!store.tracks.value.some(isInsight)) return <NoInsights />;
  return (
    <div class="insights">
      <Findings />
      <Faces />
      <Things />
      <Numbers />
    </div>
  );
}

function isNumbers(track: Track): track is ScalarTrack {
  return track.kind === "scalar";
}

/** Whether a track shows here: things are said here to be missing, too. */
function isInsight(track: Track): boolean {
  if (isNumbers(track) || track.id === "object_detection/objects") return true;
  return (track.id === "face_detection/faces" || track.id === "cross_analyzer_intelligence/findings") && size(track) > 0;
}

/** Why there is nothing here, and where the reasons are. */
function NoInsights() {
  const { store, panel } = useWorkspace();
  if (store.isOpen.value) return <p class="soft">Insights show up as analyzers finish.</p>;
  const reports = [...store.reports.value.values()];
  const ended = [...new Set(reports.map((one) => one.status))].map(
    (status) => `${reports.filter((one) => one.status === status).length} ${status === "timeout" ? "timed out" : status}`,
  );
  const hasTracks = store.tracks.value.length > 0;
  return (
    <div class="nothing-here">
      <p>
        {hasTracks
          ? "No analyzer gave faces, things or numbers. What there is stands in the timeline."
          : `No analyzer gave a result: ${ended.join(", ")}.`}
      </p>
      <p class="actions">
        <button class="button small" onClick={() => (panel.value = "analyzers")}>
          {hasTracks ? "How each analyzer fared" : "Why, analyzer by analyzer"}
        </button>
      </p>
    </div>
  );
}

function Findings() {
  const workspace = useWorkspace();
  const track = workspace.track("cross_analyzer_intelligence/findings");
  if (!track || track.items.length === 0) return null;
  return (
    <section aria-labelledby="findings-title">
      <h3 id="findings-title">What analyzers say together</h3>
      <ol class="findings">
        {track.items.map((item) => (
          <li key={item.id}>
            <button onClick={() => workspace.go(item.start, `${track.id ?? ""}/${item.id}`)}>
              <span class={`verdict ${item.verdict}`}>{plain(item.verdict)}</span>
              <span>{headline(item)}</span>
              <time class="soft small num">{when(item)}</time>
            </button>
          </li>
        ))}
      </ol>
    </section>
  );
}

function Faces() {
  const workspace = useWorkspace();
  const faces = workspace.track("face_detection/faces");
  const [ages, moods] = [workspace.track("age_estimation/ages"), workspace.track("face_emotion/emotions")];
  const mixtures = workspace.track("face_emotion/distributions");
  if (!faces || faces.items.length === 0) return null;
  const cites = (face: string) => (item: { evidence: readonly string[] }) =>
    item.evidence.includes(`face_detection/faces/${face}`);
  return (
    <section aria-labelledby="faces-title">
      <h3 id="faces-title">Faces</h3>
      <ul class="faces">
        {faces.items.map((face) => {
          const [age, mood] = [ages?.items.find(cites(face.id)), moods?.items.find(cites(face.id))];
          const mixed = mixtures?.items.find(cites(face.id));
          return (
            <li key={face.id}>
              <button onClick={() => workspace.go(face.start, `face_detection/faces/${face.id}`)}>
                <FacePicture face={face} />
                <span>
                  <b>{face.id}</b> <Seen items={[face]} />
                  {age && <span class="soft small">about {Math.round(age.years)} years by the looks</span>}
                  {mixed && <span class="soft small">{mixture(mixed.shares)}</span>}
                  {mood && !mixed && <span class="soft small">{plain(mood.label)}</span>}
                </span>
                <Presence spans={[[face.start, face.end]]} />
              </button>
            </li>
          );
        })}
      </ul>
    </section>
  );
}

/** A face, cut out of the still in which it is largest. */
function FacePicture({ face }: { face: TrackOf<"face_detection/faces">["items"][number] }) {
  const { store, player } = useWorkspace();
  const best = [...face.boxes].sort((a, b) => b.box[3] - a.box[3])[0];
  const { width: mediaWidth, height: mediaHeight } = player.media;
  if (!best || !mediaWidth || !mediaHeight) return null;
  const [x, y, w, h] = best.box as readonly [number, number, number, number];
  const stillHeight = (STILL_WIDTH * mediaHeight) / mediaWidth;
  const scale = FACE_PIXELS / (Math.max(w * STILL_WIDTH, h * stillHeight) * AROUND);
  const [left, top] = [(x + w / 2) * STILL_WIDTH * scale, (y + h / 2) * stillHeight * scale];
  return (
    <span class="face">
      <Picture
        src={address.frame(store.id, Math.min(best.t, player.duration), STILL_WIDTH)}
        alt=""
        loading="lazy"
        style={{
          width: `${STILL_WIDTH * scale}px`,
          transform: `translate(${FACE_PIXELS / 2 - left}px, ${FACE_PIXELS / 2 - top}px)`,
        }}
      />
    </span>
  );
}

function Things() {
  const workspace = useWorkspace();
  const objects = workspace.track("object_detection/objects");
  if (!objects) return null;
  const byLabel = new Map<string, Followed[]>();
  for (const item of objects.items) byLabel.set(item.label, [...(byLabel.get(item.label) ?? []), item]);
  const sorted = [...byLabel].sort((a, b) => there(b[1]) - there(a[1]));
  return (
    <section aria-labelledby="things-title" class="g-detect">
      <h3 id="things-title">Things</h3>
      {sorted.length === 0 && <p class="soft">No object was recognised.</p>}
      <ul class="things">
        {sorted.map(([label, items]) => (
          <li key={label}>
            <button onClick={() => goToNext(workspace, items)} title="To where it is seen next">
              <span>
                <b>{label}</b> <Seen items={items} />
              </span>
              <Presence spans={items.map((item) => [item.start, item.end])} />
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Go to the next of the times at which a thing is seen; after the last one to the first. */
function goToNext(workspace: Workspace, items: readonly Followed[]): void {
  const now = workspace.player.now.value;
  const next = items.find((item) => item.start > now + 0.001) ?? items[0];
  if (next) workspace.go(next.start, `object_detection/objects/${next.id}`);
}

function there(items: readonly Followed[]): number {
  return covered(items.map(({ start, end }) => [start, end]));
}

/** For how long something is there, and for how much of the video. */
function Seen({ items }: { items: readonly Followed[] }) {
  const { duration } = useWorkspace().player;
  const lasts = there(items);
  const often = items.length > 1 ? `${items.length} × · ` : "";
  return <span class="soft small num seen">{`${often}${lasting(lasts)} · ${number((lasts / duration) * 100)} %`}</span>;
}

/** When something is there, as a strip over the whole video. */
function Presence({ spans }: { spans: readonly (readonly [number, number])[] }) {
  const { duration } = useWorkspace().player;
  return (
    <span class="presence" title={spans.map(([start, end]) => `${clock(start)}–${clock(end)}`).join(", ")}>
      {spans.map(([start, end]) => (
        <i
          key={start}
          style={{ left: `${(start / duration) * 100}%`, width: `${(Math.max(end - start, 0.05) / duration) * 100}%` }}
        />
      ))}
    </span>
  );
}

function Numbers() {
  const { store } = useWorkspace();
  const tracks = store.tracks.value.filter(isNumbers);
  if (tracks.length === 0) return null;
  const analyzers = [...new Set(tracks.map((track) => track.analyzer ?? ""))];
  return (
    <section aria-labelledby="numbers-title">
      <h3 id="numbers-title">Numbers</h3>
      <div class="numbers">
        {analyzers.map((analyzer) => (
          <div key={analyzer} class={`g-${groupOf.value.get(analyzer) ?? "other"}`}>
            <h4>
              <i class="dot" />
              {title(analyzer)}
            </h4>
            {tracks
              .filter((track) => track.analyzer === analyzer)
              .map((track, _, own) => (
                <NumberList key={track.id} track={track} isNamed={own.length > 1} />
              ))}
          </div>
        ))}
      </div>
    </section>
  );
}

/** Numbers of one track, under its name where its analyzer has several. */
function NumberList({ track, isNamed }: { track: ScalarTrack; isNamed: boolean }) {
  return (
    <>
      {isNamed && <h5 class="soft small">{trackName(track)}</h5>}
      <dl>
        {track.items.map((item) => (
          <div key={item.id}>
            <dt>{plain(item.name)}</dt>
            <dd class={item.value === null ? "soft" : "num"}>{measure(item.value, item.unit)}</dd>
          </div>
        ))}
      </dl>
    </>
  );
}
