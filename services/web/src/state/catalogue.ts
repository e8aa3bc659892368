/** What the service can look with. Asked once. */
import { computed, signal } from "@preact/signals";
import { call } from "../api/client";
import type { AnalyzerInfo, GroupInfo } from "../api/types";

export const analyzers = signal<readonly AnalyzerInfo[]>([]);
export const groups = signal<readonly GroupInfo[]>([]);

export const groupOf = computed(() => new Map(analyzers.value.map((one) => [one.name, one.group])));
export const groupNames = computed(() => groups.value.map((one) => one.name));
export const infoOf = computed(() => new Map(analyzers.value.map((one) => [one.name, one])));

export async function loadCatalogue(): Promise<void> {
  const [listed, grouped] = await Promise.all([call("get", "/v1/analyzers"), call("get", "/v1/groups")]);
  analyzers.value = listed;
  groups.value = grouped;
}
