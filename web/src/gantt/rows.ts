// The rows of the timeline: for each host its slots, and below them its local work. Each job has one row for good.
//
// Jobs are put into the first row that is free when they begin, so a row is a slot as long as jobs do not outlive their news.

import type { HostRow, JobRow } from "../types";

export interface Row {
  host: number;
  local: boolean;
  lane: number;
  /** Jobs in order of their beginning. */
  jobs: number[];
  begins: number[];
  /** When the last of them ended, once that is known. */
  until: number | null;
}

export interface Lookup {
  job(id: number): JobRow | undefined;
}

/** Rows of one host that are kept at most; more jobs at once than this share the last. */
const MOST_LANES = 512;

export class Rows {
  private readonly slots = new Map<number, Row[]>();
  private readonly locals = new Map<number, Row[]>();
  private readonly known = new Set<number>();
  /** Counts changes. */
  version = 0;

  constructor(private readonly lookup: Lookup) {}

  clear(): void {
    this.slots.clear();
    this.locals.clear();
    this.known.clear();
    this.version += 1;
  }

  /** Jobs in order of their ids; who is known or has not begun is passed over. */
  add(jobs: Iterable<JobRow>): void {
    const fresh: JobRow[] = [];
    for (const job of jobs) if (job.begun !== null && !this.known.has(job.id)) fresh.push(job);
    if (fresh.length === 0) return;
    fresh.sort((a, b) => (a.begun ?? 0) - (b.begun ?? 0) || a.id - b.id);
    for (const job of fresh) this.place(job);
    this.version += 1;
  }

  private place(job: JobRow): void {
    const host = job.server ?? job.client;
    if (this.known.has(job.id)) return;
    this.known.add(job.id);
    if (host === null || job.begun === null) return;
    const local = job.kind === "local";
    const groups = local ? this.locals : this.slots;
    const rows = groups.get(host) ?? [];
    groups.set(host, rows);
    const begun = job.begun;
    let row = rows.find((one) => this.isFree(one, begun));
    if (row === undefined) {
      if (rows.length < MOST_LANES) {
        row = { host, local, lane: rows.length, jobs: [], begins: [], until: 0 };
        rows.push(row);
      } else {
        row = rows[rows.length - 1] as Row;
      }
    }
    row.jobs.push(job.id);
    row.begins.push(begun);
    row.until = job.ended;
  }

  private isFree(row: Row, at: number): boolean {
    if (row.until === null) {
      const last = row.jobs[row.jobs.length - 1];
      const job = last === undefined ? undefined : this.lookup.job(last);
      row.until = job === undefined ? 0 : job.ended;
    }
    return row.until !== null && row.until <= at;
  }

  /** Drops jobs that are forgotten from the front of the rows. */
  trim(): void {
    for (const groups of [this.slots, this.locals]) {
      for (const rows of groups.values()) {
        for (const row of rows) {
          let gone = 0;
          while (gone < row.jobs.length && this.lookup.job(row.jobs[gone] as number) === undefined) {
            this.known.delete(row.jobs[gone] as number);
            gone += 1;
          }
          if (gone > 0) {
            row.jobs.splice(0, gone);
            row.begins.splice(0, gone);
          }
        }
      }
    }
  }

  /** The rows of a host: as many as it has slots, or as it ever needed. */
  of(host: HostRow): { slots: Row[]; locals: Row[] } {
    const used = this.slots.get(host.id) ?? [];
    const slots = [...used];
    for (let lane = used.length; lane < host.slots && lane < MOST_LANES; lane += 1) {
      slots.push({ host: host.id, local: false, lane, jobs: [], begins: [], until: 0 });
    }
    return { slots, locals: this.locals.get(host.id) ?? [] };
  }
}
