/** Icons, drawn for this page on a grid of 24. */
const PATHS = {
  play: "M8 5v14l11-7z",
  pause: "M7 5h4v14H7zM13 5h4v14h-4z",
  back: "M11 6v12l-8-6zM20 6v12l-8-6z",
  forward: "M13 6v12l8-6zM4 6v12l8-6z",
  previous: "M15 6l-7 6 7 6zM5 6h2v12H5z",
  next: "M9 6l7 6-7 6zM17 6h2v12h-2z",
  sound: "M4 9v6h4l5 4V5L8 9zM16 8.5a5 5 0 010 7M18.5 6a8.5 8.5 0 010 12",
  muted: "M4 9v6h4l5 4V5L8 9zM16 9.5l5 5M21 9.5l-5 5",
  full: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  fit: "M4 5v14M20 5v14M8 12h8M8 12l3-3M8 12l3 3M16 12l-3-3M16 12l-3 3",
  sun: "M12 8a4 4 0 100 8 4 4 0 000-8zM12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M5 19l2-2M17 7l2-2",
  moon: "M20 14.5A8.5 8.5 0 019.5 4 8.5 8.5 0 1020 14.5z",
  auto: "M12 3a9 9 0 100 18 9 9 0 000-18zM12 3v18M12 7h5M12 11h7M12 15h6",
  keys: "M3 7h18v11H3zM7 11h.01M11 11h.01M15 11h.01M8 15h8",
  search: "M11 5a6 6 0 100 12 6 6 0 000-12zM16 16l4.5 4.5",
  down: "M12 4v11M7 11l5 5 5-5M5 20h14",
  upload: "M12 16V5M7 9l5-5 5 5M5 20h14",
  close: "M6 6l12 12M18 6L6 18",
  chevron: "M9 6l6 6-6 6",
  check: "M5 12.5l4.5 4.5L19 7",
  cross: "M7 7l10 10M17 7L7 17",
  alert: "M12 5v9M12 18.5h.01",
  dots: "M6 12h.01M12 12h.01M18 12h.01",
  again: "M19 12a7 7 0 11-2-5M19 4v4h-4",
  trash: "M5 7h14M9 7V4h6v3M7 7l1 13h8l1-13",
} as const;

const FILLED = new Set<string>(["play", "pause", "back", "forward", "previous", "next"]);

export type IconName = keyof typeof PATHS;

/** A sign beside a label, or in a button that has one: nothing to read aloud. */
export function Icon({ name }: { name: IconName }) {
  return (
    <svg class={FILLED.has(name) ? "icon filled" : "icon"} viewBox="0 0 24 24" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
