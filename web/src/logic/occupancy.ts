// How the running jobs share the slots, by submitter and kind.

import type { JobKind, JobRow } from "../types";

export interface Share {
  client: number | null;
  kind: JobKind;
  jobs: number;
}

const ORDER: Record<JobKind, number> = { remote: 0, own: 1, local: 2 };

/** `whole` is what the bar stands for: the slots, or more if more runs than there are slots. */
export function shares(running: readonly JobRow[], slots: number): { parts: Share[]; whole: number; free: number } {
  const found = new Map<string, Share>();
  for (const { client, kind } of running) {
    const key = `${client} ${kind}`;
    const share = found.get(key);
    if (share === undefined) found.set(key, { client, kind, jobs: 1 });
    else share.jobs += 1;
  }
  // By submitter, not by size: the parts keep their places while the numbers move.
  const parts = [...found.values()].sort((a, b) => ORDER[a.kind] - ORDER[b.kind] || (a.client ?? -1) - (b.client ?? -1));
  const whole = Math.max(1, slots, running.length);
  return { parts, whole, free: Math.max(0, slots - running.length) };
}
