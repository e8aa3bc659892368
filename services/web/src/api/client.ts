/** Calls of the API, typed by its OpenAPI document. */
import createClient from "openapi-fetch";
import type { paths } from "./schema";
import type { Problem } from "./types";

export const api = createClient<paths>({ baseUrl: location.origin });

/** What the API refused, with the stable code of its problem document. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

interface Answer<Data> {
  readonly data?: Data;
  readonly error?: unknown;
  readonly response: Response;
}

/** The data of an answer. Throws a Refusal when the API, or something before it, refused. */
export async function told<Data>(answer: Promise<Answer<Data>>): Promise<Data> {
  const { data, error, response } = await answer;
  if (response.ok) return data as Data;
  const problem = error as Partial<Problem> | undefined;
  const message = problem?.detail ?? problem?.title ?? `the server answered ${response.status} ${response.statusText}`;
  throw new Refusal(response.status, problem?.code ?? "unknown", message);
}

/** What to tell a person about anything that was thrown. */
export function reason(error: unknown): string {
  if (error instanceof TypeError) return "The server cannot be reached.";
  const message = error instanceof Error ? error.message : String(error);
  return message.charAt(0).toUpperCase() + message.slice(1) + (/[.!?]$/.test(message) ? "" : ".");
}

/** Addresses that elements load by themselves. */
export const address = {
  video: (job: string) => `/v1/jobs/${job}/video`,
  frame: (job: string, t: number, width: number) => `/v1/jobs/${job}/frames/${t.toFixed(3)}.jpg?width=${width}`,
  result: (job: string) => `/v1/jobs/${job}/result`,
  events: (job: string) => `/v1/jobs/${job}/events`,
  exported: (job: string, format: string) => `/v1/jobs/${job}/export/${format}`,
};
