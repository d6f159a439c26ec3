// The page's copy of the server's picture: a snapshot, then what changed. Pure; who draws it is told by a version number.

import type { AlertRow, BuildRow, ClusterRow, Delta, HostRow, JobRow, ReasonRow, Snapshot } from "../types";

/** Jobs the page remembers; the oldest ended ones go first. */
export const KEPT_JOBS = 100_000;

const STRIP = 60;
const STRIP_STEP = 2000;

export class Picture {
  cluster: ClusterRow | null = null;
  readonly hosts = new Map<number, HostRow>();
  readonly jobs = new Map<number, JobRow>();
  /** Those of them that wait or run. */
  readonly live = new Map<number, JobRow>();
  readonly builds = new Map<string, BuildRow>();
  reasons: ReasonRow[] = [];
  alerts: AlertRow[] = [];
  /** The server's time of the last message. */
  at = 0;
  /** Counts messages. */
  version = 0;
  /** Told of jobs that are new or changed; of all, and `true`, when everything is anew. */
  readonly watchers = new Set<(jobs: Iterable<JobRow>, anew: boolean) => void>();

  constructor(private readonly most = KEPT_JOBS) {}

  /** Everything anew. Ended jobs that we still know and the server no longer tells stay, unless the server began anew. */
  reset(snapshot: Snapshot): void {
    const sameServer = this.isContinued(snapshot);
    const kept = sameServer ? [...this.jobs.values()].filter((job) => job.ended !== null) : [];
    this.hosts.clear();
    this.jobs.clear();
    this.builds.clear();
    for (const host of snapshot.hosts) this.hosts.set(host.id, host);
    const told = new Map<number, JobRow>();
    for (const job of [...kept, ...snapshot.jobs]) told.set(job.id, job);
    this.live.clear();
    for (const job of [...told.values()].sort((a, b) => a.id - b.id)) this.keep(job);
    for (const build of snapshot.builds) this.builds.set(String(build.id), build);
    this.cluster = snapshot.cluster;
    this.reasons = snapshot.reasons;
    this.alerts = snapshot.alerts;
    this.at = snapshot.at;
    this.version += 1;
    this.forget();
    for (const watcher of this.watchers) watcher(this.jobs.values(), true);
  }

  merge(delta: Delta): void {
    if (delta.cluster !== undefined) this.cluster = delta.cluster;
    for (const host of delta.hosts ?? []) {
      const strip = host.strip ?? this.hosts.get(host.id)?.strip;
      this.hosts.set(host.id, strip === undefined ? host : { ...host, strip });
    }
    for (const id of delta.hosts_gone ?? []) this.hosts.delete(id);
    // A job that changes keeps its place in the map, so the map stays in order of ids.
    for (const job of delta.jobs ?? []) this.keep(job);
    for (const build of delta.builds ?? []) this.builds.set(String(build.id), build);
    if (delta.reasons !== undefined) this.reasons = delta.reasons;
    if (delta.alerts !== undefined) this.alerts = delta.alerts;
    this.prolongStrips(delta.at);
    this.at = delta.at;
    this.version += 1;
    this.forget();
    if (delta.jobs !== undefined) for (const watcher of this.watchers) watcher(delta.jobs, false);
  }

  private keep(job: JobRow): void {
    this.jobs.set(job.id, job);
    if (job.ended === null) this.live.set(job.id, job);
    else this.live.delete(job.id);
  }

  /** Changes come without the strips: from one even second to the next a strip is prolonged by what runs. */
  private prolongStrips(at: number): void {
    const steps = Math.min(STRIP, Math.floor(at / STRIP_STEP) - Math.floor(this.at / STRIP_STEP));
    if (!(steps > 0) || this.at === 0) return;
    for (const host of this.hosts.values()) {
      const strip = host.strip ?? [];
      for (let step = 0; step < steps; step += 1) strip.push(host.running);
      host.strip = strip.slice(-STRIP);
    }
  }

  private isContinued(snapshot: Snapshot): boolean {
    if (this.cluster === null || snapshot.at < this.at) return false;
    return snapshot.jobs.some((job) => {
      const known = this.jobs.get(job.id);
      return known !== undefined && known.number === job.number && known.asked === job.asked;
    });
  }

  private forget(): void {
    let excess = this.jobs.size - this.most;
    if (excess <= 0) return;
    for (const [id, job] of this.jobs) {
      if (excess <= 0) break;
      if (job.ended === null) continue;
      this.jobs.delete(id);
      excess -= 1;
    }
  }
}
