// Which page is shown: `#/page/id?key=value`. Every view is an address that can be kept and sent.

import { useEffect, useState } from "preact/hooks";

export interface Route {
  page: string;
  id: string | null;
  query: URLSearchParams;
}

export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [page = "", ...rest] = path.split("/");
  const id = rest.length > 0 && rest[0] !== "" ? decode(rest.join("/")) : null;
  return { page: page === "" ? "overview" : page, id, query: new URLSearchParams(query) };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function href(page: string, id?: string | number | null, query?: Record<string, string>): string {
  const parameters = new URLSearchParams(query ?? {}).toString();
  const tail = id === undefined || id === null ? "" : `/${encodeURIComponent(String(id))}`;
  return `#/${page}${tail}${parameters === "" ? "" : `?${parameters}`}`;
}

export function go(page: string, id?: string | number | null, query?: Record<string, string>): void {
  location.hash = href(page, id, query);
}

/** Changes the address without a new entry in the history. */
export function replaceQuery(query: Record<string, string>): void {
  const { page, id } = parseRoute(location.hash);
  const filled = Object.fromEntries(Object.entries(query).filter(([, value]) => value !== ""));
  history.replaceState(null, "", href(page, id, filled));
}

export function useRoute(): Route {
  const [route, set] = useState(() => parseRoute(location.hash));
  useEffect(() => {
    const listener = () => set(parseRoute(location.hash));
    addEventListener("hashchange", listener);
    return () => removeEventListener("hashchange", listener);
  }, []);
  return route;
}
