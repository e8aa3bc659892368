/** The keys of a job's view. */
import { hidden, toggled } from "./choices";
import type { Workspace } from "./workspace";

export interface Key {
  readonly keys: readonly string[];
  readonly does: string;
  readonly run: (workspace: Workspace, event: KeyboardEvent) => void;
}

const STRIDE_SECONDS = 5;

export const KEYS: readonly Key[] = [
  { keys: [" ", "k"], does: "Play or pause", run: ({ player }) => player.toggle() },
  { keys: ["l"], does: "Play, then faster", run: ({ player }) => player.shuttle(1) },
  { keys: ["j"], does: "Play backwards, then faster", run: ({ player }) => player.shuttle(-1) },
  { keys: ["ArrowLeft"], does: "Back 1 s (Shift: 5 s)", run: (w, e) => w.go(w.player.now.value - stride(e)) },
  { keys: ["ArrowRight"], does: "Forward 1 s (Shift: 5 s)", run: (w, e) => w.go(w.player.now.value + stride(e)) },
  { keys: [","], does: "One frame back", run: ({ player }) => player.step(-1) },
  { keys: ["."], does: "One frame forward", run: ({ player }) => player.step(1) },
  { keys: ["["], does: "Previous cut", run: (workspace) => workspace.goToCut(-1) },
  { keys: ["]"], does: "Next cut", run: (workspace) => workspace.goToCut(1) },
  { keys: ["Home"], does: "To the start", run: (workspace) => workspace.go(0) },
  { keys: ["End"], does: "To the end", run: (workspace) => workspace.go(workspace.player.duration) },
  { keys: ["<"], does: "Slower", run: ({ player }) => player.shift(-1) },
  { keys: [">"], does: "Faster", run: ({ player }) => player.shift(1) },
  { keys: ["m"], does: "Sound on or off", run: ({ player }) => player.toggleMute() },
  { keys: ["+", "="], does: "Zoom the timeline in", run: (workspace) => workspace.zoom(0.5) },
  { keys: ["-"], does: "Zoom the timeline out", run: (workspace) => workspace.zoom(2) },
  { keys: ["0"], does: "Show the whole timeline", run: (workspace) => workspace.showAll() },
  { keys: ["o"], does: "All overlays off, or on", run: () => flipAll() },
  { keys: ["/"], does: "Search", run: () => document.getElementById("search")?.focus() },
  { keys: ["?"], does: "This list", run: () => showKeys() },
];

const NAMES: Readonly<Record<string, string>> = { " ": "Space", ArrowLeft: "←", ArrowRight: "→" };

/** A key as it is written on keyboards. */
export function keyName(key: string): string {
  return NAMES[key] ?? (key.length === 1 ? key.toUpperCase() : key);
}

export function showKeys(): void {
  const dialog = document.getElementById("keys");
  if (dialog instanceof HTMLDialogElement && !dialog.open) dialog.showModal();
}

/** Listen until the returned function is called. Keys that a focused control uses itself stay with it. */
export function listen(workspace: Workspace): () => void {
  const pressed = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTaken(event)) return;
    const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const found = KEYS.find(({ keys }) => keys.includes(name));
    if (!found) return;
    event.preventDefault();
    found.run(workspace, event);
  };
  addEventListener("keydown", pressed);
  return () => removeEventListener("keydown", pressed);
}

function stride(event: KeyboardEvent): number {
  return event.shiftKey ? STRIDE_SECONDS : 1;
}

let shownBefore: readonly string[] = [];

function flipAll(): void {
  const everything = "all";
  if (hidden.value.includes(everything)) hidden.value = shownBefore;
  else {
    shownBefore = hidden.value;
    hidden.value = toggled(hidden.value, everything);
  }
}

function isTaken(event: KeyboardEvent): boolean {
  const target = event.target;
  if (!(target instanceof HTMLElement)) return false;
  if (document.querySelector("dialog[open]")) return true;
  if (target.matches("input:not([type=checkbox]):not([type=range]), select, textarea")) return true;
  const { key } = event;
  if (target.matches("button, summary, a, input[type=checkbox]") && (key === " " || key === "Enter")) return true;
  const moves = key.startsWith("Arrow") || key === "Home" || key === "End";
  return moves && target.closest("[role=tablist], [role=slider], input[type=range], .scrolls") !== null;
}
