// Collections that are asked for now and then, because they are not part of the stream.

import { useEffect, useState } from "preact/hooks";
import { ApiError } from "./api";
import { isPaused } from "./live";

export interface Asked<T> {
  value: T | null;
  problem: string | null;
}

/** Asks at once and then every `every` ms while the page is seen. The last answer stays while a later one fails. */
export function useAsked<T>(ask: (signal: AbortSignal) => Promise<T>, every: number, asked: readonly unknown[] = []): Asked<T> {
  const [answer, set] = useState<Asked<T>>({ value: null, problem: null });
  useEffect(() => {
    const stop = new AbortController();
    const once = () => {
      if (document.hidden || isPaused()) return;
      ask(stop.signal).then(
        (value) => set({ value, problem: null }),
        (error: unknown) => {
          if (stop.signal.aborted) return;
          const problem = error instanceof ApiError ? error.message : "the server does not answer";
          set(({ value }) => ({ value, problem }));
        },
      );
    };
    once();
    const timer = setInterval(once, every);
    return () => {
      clearInterval(timer);
      stop.abort();
    };
  }, asked);
  return answer;
}
