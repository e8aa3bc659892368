import type { ReadonlySignal } from "@preact/signals";
import { useWorkspace } from "../state/workspace";
import { clock } from "../text/words";
import { pixelsOf } from "../timeline/view";

/** Where the pointer is over the timeline, and what lies there. */
export interface Hover {
  readonly t: number;
  readonly clientX: number;
  readonly clientY: number;
  readonly title: string;
  readonly lines: readonly string[];
}

interface Heads {
  readonly width: number;
  readonly hover: ReadonlySignal<Hover | null>;
  readonly name?: string;
}

/** The line of the playhead, and the thin one under the pointer. */
export function Playhead({ width, hover, name }: Heads) {
  const { player, view } = useWorkspace();
  const xOf = (t: number) => pixelsOf(view.value, width, t);
  const [now, under] = [xOf(player.now.value), hover.value ? xOf(hover.value.t) : null];
  return (
    <div class="heads" aria-hidden="true">
      {under !== null && <i class="pointer-line" style={{ transform: `translateX(${under}px)` }} />}
      {now >= -1 && now <= width + 1 && (
        <i class="playhead" data-testid={name} style={{ transform: `translateX(${now}px)` }} />
      )}
    </div>
  );
}

const TIP_WIDTH = 288;

/** What lies under the pointer, in words. */
export function Tip({ hover }: { hover: ReadonlySignal<Hover | null> }) {
  const at = hover.value;
  if (!at) return null;
  const left = Math.min(Math.max(at.clientX + 14, 8), innerWidth - TIP_WIDTH - 8);
  const isLow = at.clientY > innerHeight * 0.7;
  const place = isLow ? { bottom: `${innerHeight - at.clientY + 12}px` } : { top: `${at.clientY + 16}px` };
  return (
    <div class="tip" role="presentation" style={{ left: `${left}px`, ...place }}>
      <span class="soft num">{clock(at.t, 2)}</span>
      {at.title && <b>{at.title}</b>}
      {at.lines.map((line) => (
        <span key={line}>{line}</span>
      ))}
    </div>
  );
}
