// Requests to the server that brought the page, and to no other.

let token: string | null = null;

/** The control token, kept for this visit in memory only. */
export const controlToken = (): string | null => token;
export function setControlToken(value: string | null): void {
  token = value;
}

export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly hint: string | null = null,
  ) {
    super(message);
  }
}

async function failure(response: Response): Promise<ApiError> {
  let message = `the server answered ${response.status}`;
  let hint: string | null = null;
  try {
    const body = (await response.json()) as { error?: string; hint?: string };
    message = body.error ?? message;
    hint = body.hint ?? null;
  } catch {
    // Not our server's words; the number has to do.
  }
  return new ApiError(response.status, message, hint);
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  const response = await fetch(`api/v1/${path}`, signal === undefined ? {} : { signal });
  if (!response.ok) throw await failure(response);
  return (await response.json()) as T;
}

/** A collection, as `{name: […]}` or as it is. */
export async function list<T>(name: string, signal?: AbortSignal): Promise<T[]> {
  const answer = await get<Record<string, T[]> | T[]>(name, signal);
  if (Array.isArray(answer)) return answer;
  return answer[name] ?? Object.values(answer).find(Array.isArray) ?? [];
}

/** Lets this browser in; the server answers with a cookie scripts cannot read. */
export async function logIn(given: string): Promise<void> {
  const response = await fetch("api/v1/session", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token: given }),
  });
  if (!response.ok) throw await failure(response);
}

export interface Command {
  action: "block" | "unblock" | "remove" | "drain" | "undrain";
  host: string;
  reason: string;
  for_s: number | null;
}

export async function manage(command: Command): Promise<string> {
  const response = await fetch("api/v1/manage", {
    method: "POST",
    headers: { "Content-Type": "application/json", ...(token === null ? {} : { Authorization: `Bearer ${token}` }) },
    body: JSON.stringify(command),
  });
  if (!response.ok) throw await failure(response);
  const answer = (await response.json()) as { text?: string };
  return answer.text ?? "done";
}
