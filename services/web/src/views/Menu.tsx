import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

/** Something that a button opens, and Escape, a link of it or a click elsewhere closes. */
export function Menu({ label, children }: { label: ComponentChildren; children: ComponentChildren }) {
  const details = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    const shut = (event: Event) => {
      const menu = details.current;
      if (!menu?.open) return;
      const isEscape = event instanceof KeyboardEvent && event.key === "Escape";
      if (isEscape) menu.querySelector("summary")?.focus();
      if (isEscape || (event.type === "pointerdown" && !menu.contains(event.target as Node))) menu.open = false;
    };
    addEventListener("pointerdown", shut);
    addEventListener("keydown", shut);
    return () => {
      removeEventListener("pointerdown", shut);
      removeEventListener("keydown", shut);
    };
  }, []);
  const chosen = (event: MouseEvent) => {
    if (!(event.target as Element).closest("a") || !details.current) return;
    details.current.querySelector("summary")?.focus();
    details.current.open = false;
  };
  return (
    <details class="menu" ref={details}>
      <summary class="button">{label}</summary>
      <div class="menu-body" onClick={chosen}>
        {children}
      </div>
    </details>
  );
}
