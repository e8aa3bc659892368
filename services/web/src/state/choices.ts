/** What this browser remembers: the theme, and which overlays are drawn. */
import { effect, signal, type Signal } from "@preact/signals";

export type Theme = "auto" | "light" | "dark";

/** A signal that outlives the page; kept in memory alone where storage is forbidden. */
function kept<T>(name: string, start: T): Signal<T> {
  const key = `reelgraph.${name}`;
  const value = signal<T>(start);
  try {
    const stored = localStorage.getItem(key);
    if (stored !== null) value.value = JSON.parse(stored) as T;
    effect(() => localStorage.setItem(key, JSON.stringify(value.value)));
  } catch {
    return value;
  }
  return value;
}

export const theme = kept<Theme>("theme", "auto");
/** Overlays that were switched off. */
export const hidden = kept<readonly string[]>("hidden-overlays", ["mask"]);
/** Groups of lanes that were folded. */
export const folded = kept<readonly string[]>("folded-groups", []);
/** Whether lanes of what was not found are shown. */
export const showsEmpty = kept<boolean>("empty-lanes", true);

const dark = matchMedia("(prefers-color-scheme: dark)");
/** Rises whenever colours change, for what is drawn on a canvas. */
export const palette = signal(0);

dark.addEventListener("change", () => palette.value++);
effect(() => {
  if (theme.value === "auto") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme.value;
  palette.value = palette.peek() + 1;
});

/** The list without the name, or with it. */
export function toggled(list: readonly string[], name: string): readonly string[] {
  return list.includes(name) ? list.filter((one) => one !== name) : [...list, name];
}
