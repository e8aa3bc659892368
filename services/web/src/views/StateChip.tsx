import type { JobView, Status } from "../api/types";
import { plain } from "../text/words";
import { Icon, type IconName } from "./Icon";

type State = JobView["state"] | Status;

const LOOKS: Readonly<Record<State, readonly [IconName, string]>> = {
  ok: ["check", "good"],
  completed: ["check", "good"],
  completed_with_errors: ["alert", "warn"],
  partial: ["alert", "warn"],
  timeout: ["cross", "warn"],
  running: ["dots", "busy"],
  queued: ["dots", "idle"],
  failed: ["cross", "bad"],
  unavailable: ["minus", "idle"],
  skipped: ["minus", "idle"],
  cancelled: ["minus", "idle"],
};

/** A state by word, sign and colour. */
export function StateChip({ state }: { state: State }) {
  const [icon, look] = LOOKS[state];
  return (
    <span class={`chip ${look}`}>
      <Icon name={icon} />
      {plain(state)}
    </span>
  );
}
