// Rows to test with: all that matters is said by who asks, the rest is empty.

import type { ClusterRow, HostRow, JobRow, Snapshot } from "../../src/types";

export function job(part: Partial<JobRow> & { id: number }): JobRow {
  return {
    number: part.id, file: "src/a.cpp", language: "c++", client: 1, server: 2, lane: 0, state: "finished", kind: "remote", build: null, asked: 0, begun: 0,
    ended: 10, wait_ms: 0, duration_ms: 10, exit: 0, user_ms: null, system_ms: null, page_faults: null, in_raw: null, in_compressed: null, out_raw: null,
    out_compressed: null, why: null, waiting: null, record: null, ...part,
  };
}

export function host(part: Partial<HostRow> & { id: number }): HostRow {
  const none = { jobs: 0, failed: 0, lost: 0, mean_ms: null, p50_ms: null, p95_ms: null };
  return {
    number: part.id, name: `host${part.id}`, ip: "10.0.0.1", platform: "x86_64", protocol: 44, software: null, features: [], here: true, since: 0, left: null,
    no_remote: false, available: true, accepting: null, blocked: false, draining: false, installing: null, slots: 4, running: 0, busy_local: 0, submitted: 0,
    waiting: 0, jobs_in: 0, jobs_out: 0, jobs_own: 0, jobs_local: 0, speed: 1, samples: null, load: 0, averages: null, free_memory_mb: null, mark: 0, sandbox: null,
    remark: null, as_server: none, as_client: none, others: {}, lanes: [], ...part,
  };
}

export function snapshot(at: number, jobs: JobRow[], hosts: HostRow[] = []): Snapshot {
  const cluster: ClusterRow = {
    scheduler: null, netname: null, protocol: null, version: null, algorithm: null, started: null, link: "up", link_since: null, link_reason: null, hosts: 0,
    available: 0, active: 0, slots: 0, running: 0, running_here: 0, queued: 0, totals: { remote: 0, own: 0, local: 0, failed: 0, lost: 0, cancelled: 0 },
    platforms: [], local_percent: null, has_records: false, now: at, busy_strip: [],
  };
  return { at, cluster, hosts, jobs, builds: [], reasons: [], alerts: [] };
}
