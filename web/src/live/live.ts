// The connection to the server and the picture it feeds. One for the whole page.
//
// When the server is lost the last picture stays, marked with its age, and attempts go on until it is back. While paused, messages
// are kept and applied later; if they become too many the picture is asked for anew.

import { useEffect, useState } from "preact/hooks";
import { ServerClock } from "../logic/clock";
import { Picture } from "../logic/picture";
import type { Delta, Snapshot } from "../types";
import { backOff, SseParser } from "./sse";

export type Connection = "connecting" | "live" | "lost" | "denied";

/** Without a sign of life for this long the connection is taken for dead; the server gives one every 15 s. */
const SILENCE_MS = 40_000;
const MOST_HELD = 400;

export const picture = new Picture();
const clock = new ServerClock();

let connection: Connection = "connecting";
let lastHeard = 0;
let attempt = 0;
let paused = false;
let held: (() => void)[] = [];
let abort: AbortController | null = null;
let retry: ReturnType<typeof setTimeout> | undefined;
let redraw = 0;

const listeners = new Set<() => void>();
const messageListeners = new Set<() => void>();

export const state = (): { connection: Connection; lastHeard: number; paused: boolean; held: number } => ({
  connection,
  lastHeard,
  paused,
  held: held.length,
});

/** What time it is for the server. */
export const serverNow = (): number => clock.now(performance.now());

export const isPaused = (): boolean => paused;

export function setPaused(value: boolean): void {
  if (paused === value) return;
  paused = value;
  if (paused) {
    clock.stop(performance.now());
  } else if (held.length > MOST_HELD) {
    held = [];
    connect();
  } else {
    const waiting = held;
    held = [];
    for (const apply of waiting) apply();
  }
  notify();
}

/** Draws this component again when the picture changes, at most once a frame, and not while the page is hidden. */
export function useLive(): Picture {
  const [, again] = useState(0);
  useEffect(() => {
    const listener = () => again((n) => n + 1);
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }, []);
  return picture;
}

/** Draws this component again every so often, for ages and running times. */
export function useTick(ms: number): void {
  const [, again] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden && !paused) again((n) => n + 1);
    }, ms);
    return () => clearInterval(timer);
  }, [ms]);
}

/** Called after each message, drawn or not. */
export function onMessage(listener: () => void): () => void {
  messageListeners.add(listener);
  return () => void messageListeners.delete(listener);
}

function notify(): void {
  for (const listener of messageListeners) listener();
  if (redraw !== 0) return;
  redraw = requestAnimationFrame(() => {
    redraw = 0;
    for (const listener of listeners) listener();
  });
}

export function connect(): void {
  clearTimeout(retry);
  abort?.abort();
  const mine = new AbortController();
  abort = mine;
  void read(mine)
    .catch(() => undefined)
    .then(() => {
      if (mine !== abort || connection === "denied") return;
      connection = picture.cluster === null ? "connecting" : "lost";
      clock.stop(performance.now());
      retry = setTimeout(connect, backOff(attempt, Math.random()));
      attempt += 1;
      notify();
    });
}

async function read(mine: AbortController): Promise<void> {
  const response = await fetch("api/v1/stream", {
    signal: mine.signal,
    headers: { Accept: "text/event-stream" },
    cache: "no-store",
  });
  if (response.status === 401 || response.status === 403) {
    connection = "denied";
    notify();
    return;
  }
  if (!response.ok || response.body === null) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const parser = new SseParser();
  let watchdog: ReturnType<typeof setTimeout> | undefined;
  const alive = () => {
    lastHeard = Date.now();
    clearTimeout(watchdog);
    watchdog = setTimeout(() => mine.abort(), SILENCE_MS);
  };
  alive();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done || mine !== abort) return;
      alive();
      for (const message of parser.push(value)) take(message.event, message.data);
    }
  } finally {
    clearTimeout(watchdog);
  }
}

function take(event: string, data: string): void {
  if (event !== "snapshot" && event !== "delta") return;
  const apply =
    event === "snapshot"
      ? () => snapshot(JSON.parse(data) as Snapshot)
      : () => delta(JSON.parse(data) as Delta);
  connection = "live";
  attempt = 0;
  if (!paused) apply();
  else if (held.length <= MOST_HELD) held.push(apply);
  notify();
}

function snapshot(told: Snapshot): void {
  picture.reset(told);
  clock.hear(told.at, performance.now());
}

function delta(told: Delta): void {
  picture.merge(told);
  clock.hear(told.at, performance.now());
}
