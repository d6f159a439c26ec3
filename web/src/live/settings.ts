// What the viewer chose, kept in the browser. A browser that keeps nothing still works.

import { useEffect, useState } from "preact/hooks";

export interface Settings {
  theme: "auto" | "light" | "dark" | "contrast";
  scale: number;
  motion: "auto" | "reduce" | "full";
  anonymise: boolean;
  hidePeople: boolean;
  zone: string;
  newestLeft: boolean;
  shortcuts: boolean;
}

export const DEFAULTS: Settings = {
  theme: "auto",
  scale: 100,
  motion: "auto",
  anonymise: false,
  hidePeople: false,
  zone: "local",
  newestLeft: false,
  shortcuts: true,
};

export function remembered<T>(key: string, otherwise: T): T {
  try {
    const text = localStorage.getItem(`gelato.${key}`);
    return text === null ? otherwise : (JSON.parse(text) as T);
  } catch {
    return otherwise;
  }
}

export function remember(key: string, value: unknown): void {
  try {
    localStorage.setItem(`gelato.${key}`, JSON.stringify(value));
  } catch {
    // Private windows and full disks: it is forgotten at the end of the visit.
  }
}

let current: Settings = { ...DEFAULTS, ...remembered<Partial<Settings>>("settings", {}) };
const listeners = new Set<() => void>();

export const settings = (): Settings => current;

export function change(part: Partial<Settings>): void {
  current = { ...current, ...part };
  remember("settings", current);
  applySettings();
  for (const listener of listeners) listener();
}

export function useSettings(): Settings {
  const [, again] = useState(0);
  useEffect(() => {
    const listener = () => again((n) => n + 1);
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }, []);
  return current;
}

const wantsDark = matchMedia("(prefers-color-scheme: dark)");
const wantsContrast = matchMedia("(prefers-contrast: more)");
const wantsLessMotion = matchMedia("(prefers-reduced-motion: reduce)");

export function reducedMotion(): boolean {
  return current.motion === "reduce" || (current.motion === "auto" && wantsLessMotion.matches);
}

export function applySettings(): void {
  const auto = wantsContrast.matches ? "contrast" : wantsDark.matches ? "dark" : "light";
  const theme = current.theme === "auto" ? auto : current.theme;
  const root = document.documentElement;
  root.dataset["theme"] = theme;
  root.dataset["ground"] = theme === "light" ? "light" : theme === "dark" || wantsDark.matches ? "dark" : "light";
  root.dataset["motion"] = reducedMotion() ? "reduce" : "full";
  root.style.fontSize = current.scale === 100 ? "" : `${(current.scale * 14) / 100}px`;
  themeListeners.forEach((listener) => listener());
}

const themeListeners = new Set<() => void>();

/** Called when colours change: canvases must be drawn anew. */
export function onTheme(listener: () => void): () => void {
  themeListeners.add(listener);
  return () => void themeListeners.delete(listener);
}

for (const query of [wantsDark, wantsContrast, wantsLessMotion]) {
  query.addEventListener("change", () => {
    applySettings();
    for (const listener of listeners) listener();
  });
}

/** A colour of the theme, for canvases. */
export function themeColour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim() || "#888888";
}
