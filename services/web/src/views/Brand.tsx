import icon from "../../icon.svg";
import { theme, type Theme } from "../state/choices";
import { Icon } from "./Icon";

/** The name, which leads to the list of jobs. */
export function Brand() {
  return (
    <a class="brand" href="#/" aria-label="Reelgraph: all jobs">
      <img src={icon} alt="" width="28" height="28" />
      <span>Reelgraph</span>
    </a>
  );
}

const NEXT: Readonly<Record<Theme, Theme>> = { auto: "light", light: "dark", dark: "auto" };
const SIGNS = { auto: "auto", light: "sun", dark: "moon" } as const;

/** Light, dark, or as the system has it. */
export function ThemeSwitch() {
  const next = NEXT[theme.value];
  const label = `Theme: ${theme.value}. Change to ${next}`;
  return (
    <button class="icon-button" onClick={() => (theme.value = next)} aria-label={label} title={label}>
      <Icon name={SIGNS[theme.value]} />
    </button>
  );
}
