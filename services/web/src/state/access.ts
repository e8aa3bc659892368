/** Who is here, and what they may see beside the jobs. */
import { signal } from "@preact/signals";
import type { Session } from "../api/types";

export const session = signal<Session | null>(null);
/** Whether Flower is part of this deployment, answers, and is open to who is here. */
export const showsWorkers = signal(false);

/** Who lacks the scope is refused: the page does not ask. */
const SCOPE = "admin";

export async function askForWorkers(): Promise<void> {
  const may = session.value?.scopes.includes(SCOPE) ?? false;
  showsWorkers.value = may && (await fetch("/flower/healthcheck").then(({ ok }) => ok, () => false));
}
