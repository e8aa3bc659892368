import { useEffect, useState } from "preact/hooks";
import { useSignalEffect } from "@preact/signals";
import { call, reason } from "../api/client";
import type { Excerpt, Item } from "../api/types";
import { details, headline, isQuote, swatches, when } from "../document/items";
import { groupNames, groupOf } from "../state/catalogue";
import { useWorkspace, type Workspace } from "../state/workspace";
import { clock, measure, plain, title } from "../text/words";

type Said = Excerpt["analyzers"][number];
type Part = Said["tracks"][number];

/** While it plays, the moment is asked for this often; a still playhead waits so long to stand still. */
const EVERY_MS = 400;

/** The newest answer about the playhead, asked for at most every `EVERY_MS`. */
function useExcerpt({ store, player }: Workspace): { excerpt: Excerpt | null; problem: string } {
  const [excerpt, setExcerpt] = useState<Excerpt | null>(null);
  const [problem, setProblem] = useState("");
  const [t, setT] = useState(player.now.peek());
  useSignalEffect(() => {
    const now = Math.min(player.now.value, player.duration);
    const timer = setTimeout(() => setT(now), player.isPlaying.peek() ? 0 : 80);
    return () => clearTimeout(timer);
  });
  const made = store.reports.value.size;
  const asked = player.isPlaying.value ? Math.round((t * 1000) / EVERY_MS) * (EVERY_MS / 1000) : t;
  useEffect(() => {
    const abort = new AbortController();
    const query = { t: Math.min(asked, player.duration) };
    call("get", "/v1/jobs/{job_id}/at", { path: { job_id: store.id }, query, signal: abort.signal })
      .then((found) => {
        setExcerpt(found);
        setProblem("");
      })
      .catch((error: unknown) => {
        if (!abort.signal.aborted) setProblem(reason(error));
      });
    return () => abort.abort();
  }, [asked, made, store, player]);
  return { excerpt, problem };
}

/** What every analyzer says about the playhead. */
export function Moment() {
  const workspace = useWorkspace();
  const { excerpt, problem } = useExcerpt(workspace);
  if (problem) return <p class="bad">{problem}</p>;
  if (!excerpt) return <p class="soft">…</p>;
  const said = excerpt.analyzers.map(heard);
  const speaking = said.filter((one) => one.tracks.length > 0);
  const silent = said.filter((one) => one.tracks.length === 0 && one.looked);
  const blind = said.filter((one) => one.tracks.length === 0 && !one.looked);
  const groups = [...groupNames.value, "other"].flatMap((name) => {
    const members = speaking.filter((one) => (groupOf.value.get(one.analyzer) ?? "other") === name);
    return members.length ? [{ name, members }] : [];
  });
  const names = speaking.flatMap((one) => one.tracks.map(({ id }) => trackOf(id)));
  const isShared = (name: string) => names.indexOf(name) !== names.lastIndexOf(name);
  return (
    <div class="moment" data-testid="moment">
      <p class="at num">
        at <b>{clock(excerpt.start, 2)}</b>
      </p>
      {groups.map(({ name, members }) => (
        <div key={name} class={`part-group g-${name}`}>
          <h3>
            <i class="dot" />
            {title(name)}
          </h3>
          {members.flatMap((one) =>
            one.tracks.map((part) => <PartView key={part.id} part={part} isShared={isShared(trackOf(part.id))} />),
          )}
        </div>
      ))}
      <Names label="Looked, found nothing here" names={silent.map((one) => one.analyzer)} />
      <Names label="Did not look here" names={blind.map((one) => one.analyzer)} />
      <Names label="Still at work" names={excerpt.waiting} />
    </div>
  );
}

/** Where nobody looked, a series without a value says nothing; where somebody did, that it could not be measured. */
function heard(one: Said): Said {
  if (one.looked) return one;
  return { ...one, tracks: one.tracks.filter(({ series }) => !series || series.values.some((value) => value !== null)) };
}

function trackOf(id: string): string {
  return id.split("/")[1] ?? "";
}

/** One track at this moment; by its analyzer's name where its own is shared by several. */
function PartView({ part, isShared }: { part: Part; isShared: boolean }) {
  const [analyzer = "", track = ""] = part.id.split("/");
  const items = part.items as unknown as readonly Item[];
  return (
    <div class="part" title={plain(analyzer)}>
      <span class="soft small">{plain(isShared ? analyzer : track)}</span>
      <ul>
        {part.series && <li class="num">{measure(part.series.values[0] ?? null, part.series.unit)}</li>}
        {items.map((item) => (
          <li key={item.id} title={[when(item), ...details(item)].join("\n")}>
            {swatches(item).map(({ hex, share }) => (
              <i key={hex} class="swatch" style={{ background: hex, width: `${1.25 + 3 * share}rem` }} />
            ))}
            <span class={swatches(item).length ? "hidden" : isQuote(item) ? "said" : ""}>{headline(item)}</span>
            {"confidence" in item && item.confidence !== null && (
              <span class="soft small num"> {item.confidence.toFixed(2)}</span>
            )}
          </li>
        ))}
      </ul>
    </div>
  );
}

function Names({ label, names }: { label: string; names: readonly string[] }) {
  if (names.length === 0) return null;
  return (
    <p class="names small soft">
      {label}: {names.map(plain).join(", ")}
    </p>
  );
}
