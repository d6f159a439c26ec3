// Names as they are shown: true, or hidden if the viewer wants so.

import { hiddenAddress, hiddenFile, hiddenHost, hiddenUser } from "../logic/anonymise";
import type { HostRow } from "../types";
import { picture } from "./live";
import { settings } from "./settings";

export const hostOf = (id: number | null | undefined): HostRow | undefined =>
  id === null || id === undefined ? undefined : picture.hosts.get(id);

/** The true name: for filters, sorting and commands. */
export const trueHost = (id: number | null | undefined): string => hostOf(id)?.name ?? "";

export const shownName = (name: string): string => (settings().anonymise ? hiddenHost(name) : name);

export function shownHost(id: number | null | undefined): string {
  const name = trueHost(id);
  return name === "" ? "–" : shownName(name);
}

// Files may be named anything: what would move a cursor or turn the direction of writing is drawn as a mark.
const harmless = (text: string): string => text.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");

export const shownFile = (file: string): string =>
  file === "" ? "(unknown)" : settings().anonymise ? hiddenFile(file) : harmless(file);

export const shownAddress = (ip: string): string => (settings().anonymise ? hiddenAddress(ip) : ip);

export function shownUser(user: number | string | null | undefined): string {
  if (user === null || user === undefined || user === "") return "–";
  const { anonymise, hidePeople } = settings();
  return anonymise || hidePeople ? hiddenUser(String(user)) : String(user);
}

/** Words of the server that may hold names of hosts: hidden with them. */
export function shownText(text: string | null | undefined): string {
  if (text === null || text === undefined) return "";
  if (!settings().anonymise) return harmless(text);
  let shown = text.replace(/(?:[\w.+-]*\/)+[\w.+-]+/g, hiddenFile).replace(/\b\d+\.\d+\.\d+\.\d+\b/g, hiddenAddress);
  for (const host of picture.hosts.values()) {
    if (host.name !== "") shown = shown.split(host.name).join(hiddenHost(host.name));
  }
  return shown;
}
