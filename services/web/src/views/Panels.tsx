import type { ComponentType } from "preact";
import { useWorkspace } from "../state/workspace";
import { Analyzers } from "./Analyzers";
import { Charts } from "./Charts";
import { Insights } from "./Insights";
import { Moment } from "./Moment";
import { Shots } from "./Shots";
import { Transcript } from "./Transcript";
import { useMedia } from "./useSize";

interface Tab {
  readonly name: string;
  readonly label: string;
  readonly Body: ComponentType;
}

const TABS: readonly Tab[] = [
  { name: "moment", label: "Moment", Body: Moment },
  { name: "insights", label: "Insights", Body: Insights },
  { name: "transcript", label: "Words", Body: Transcript },
  { name: "shots", label: "Shots", Body: Shots },
  { name: "charts", label: "Charts", Body: Charts },
  { name: "analyzers", label: "Analyzers", Body: Analyzers },
];
const WIDE = "(min-width: 84rem)";

/** Beside the player: what is said, shown and measured. On wide screens the moment has a column of its own. */
export function Panels() {
  const isWide = useMedia(WIDE);
  const { panel } = useWorkspace();
  const tabs = isWide ? TABS.slice(1) : TABS;
  const open = tabs.find(({ name }) => name === panel.value) ?? tabs[0];
  if (!open) return null;
  const keys = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(tabs.indexOf(open) + step + tabs.length) % tabs.length] ?? open;
    panel.value = next.name;
    document.getElementById(`tab-${next.name}`)?.focus();
    event.preventDefault();
  };
  return (
    <>
      <section class="panels card" aria-labelledby="panels-title">
        <h2 class="hidden" id="panels-title">
          What was found
        </h2>
        <div class="tabs" role="tablist" aria-labelledby="panels-title" onKeyDown={keys}>
          {tabs.map(({ name, label }) => (
            <button
              key={name}
              id={`tab-${name}`}
              role="tab"
              aria-selected={name === open.name}
              aria-controls="panel"
              tabIndex={name === open.name ? 0 : -1}
              onClick={() => (panel.value = name)}
            >
              {label}
            </button>
          ))}
        </div>
        <div class="panel scrolls" id="panel" role="tabpanel" aria-labelledby={`tab-${open.name}`} tabIndex={0}>
          <open.Body />
        </div>
      </section>
      {isWide && (
        <section class="moment-column card" aria-labelledby="moment-title">
          <h2 id="moment-title">This moment</h2>
          <div class="panel scrolls" tabIndex={0} role="group" aria-label="What every analyzer says">
            <Moment />
          </div>
        </section>
      )}
    </>
  );
}
