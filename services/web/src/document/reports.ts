/** How analyzers fared, and what can be done about it. */
import type { Report } from "../api/types";

/** Whether running an analyzer again may bring more: what somebody stopped, and what the service calls worth another try. */
export function canRunAgain({ status, error }: Report): boolean {
  if (status === "cancelled") return true;
  return status !== "skipped" && error?.retryable === true;
}
