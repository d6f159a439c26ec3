// Values that are dear to compute and change with every message: computed anew only so often that they cost a small share of the
// time, at once when what the viewer asked for changes.

import { useEffect, useRef, useState } from "preact/hooks";

/** Waits this many times as long as the last computation took. */
const REST = 12;

export function useDerived<T>(compute: () => T, version: unknown, asked: readonly unknown[]): T {
  const kept = useRef<{ value: T; version: unknown; asked: readonly unknown[]; cost: number; at: number } | null>(null);
  const [, again] = useState(0);
  const now = performance.now();
  const last = kept.current;
  const askedAnew = last === null || asked.some((one, at) => one !== last.asked[at]);
  const due = last !== null && version !== last.version && now - last.at >= last.cost * REST;
  if (askedAnew || due) {
    const value = compute();
    kept.current = { value, version, asked, cost: performance.now() - now, at: now };
  }
  const current = kept.current as { value: T; version: unknown; cost: number; at: number };
  const late = current.version !== version;
  useEffect(() => {
    if (!late) return;
    const timer = setTimeout(() => again((n) => n + 1), Math.max(16, current.at + current.cost * REST - performance.now()));
    return () => clearTimeout(timer);
  });
  return current.value;
}
