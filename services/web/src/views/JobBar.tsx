import { showKeys } from "../state/keys";
import { useWorkspace } from "../state/workspace";
import { bytes, lasting, number } from "../text/words";
import { Brand, ThemeSwitch } from "./Brand";
import { Downloads } from "./Downloads";
import { Icon } from "./Icon";
import { SearchBox } from "./SearchBox";
import { StateChip } from "./StateChip";

/** The head of a job: what video it is, how it fared, search, downloads. */
export function JobBar() {
  const { store } = useWorkspace();
  const view = store.view.value;
  if (!view) return null;
  return (
    <header class="bar job-bar">
      <Brand />
      <div class="what">
        <h1>{view.source_name ?? "video"}</h1>
        <StateChip state={view.state} />
        <Facts />
      </div>
      <SearchBox />
      <Downloads />
      <button class="icon-button" onClick={showKeys} aria-label="Keys" title="Keys (?)">
        <Icon name="keys" />
      </button>
      <ThemeSwitch />
    </header>
  );
}

function Facts() {
  const { store } = useWorkspace();
  const view = store.view.value;
  if (!view) return null;
  const { media } = view;
  const [numerator = 0, denominator = 1] = (media.fps ?? "").split("/").map(Number);
  const made = store.document.value?.job;
  const facts = [
    lasting(media.duration_seconds),
    media.width && `${media.width} × ${media.height}`,
    media.fps && `${number(numerator / denominator)} fps${media.vfr ? ", varying" : ""}`,
    bytes(media.size_bytes),
    made && `analysed in ${lasting(made.wall_seconds)}`,
    made && made.realtime_factor !== null && `${number(made.realtime_factor)} × its length`,
    made && (made.decode_passes === 0 ? "nothing decoded anew" : `decoded ${times(made.decode_passes)}`),
  ].filter(Boolean);
  return (
    <ul class="facts soft small">
      {facts.map((fact) => (
        <li key={fact}>{fact}</li>
      ))}
    </ul>
  );
}

function times(many: number): string {
  return many === 1 ? "once" : `${many} times`;
}
