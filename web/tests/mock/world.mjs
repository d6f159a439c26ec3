// An invented cluster, the same each time for the same seed.

const WORDS = ["parser", "lexer", "codegen", "render", "socket", "index", "cache", "widget", "layout", "query", "matrix", "solver", "stream", "table"];
const FOLDERS = ["src/core", "src/net", "src/gui", "lib/base", "lib/math", "tools"];
const REASONS = [
  ["no-compile-step", "Neither -c nor -S: a link, or a compilation with a link.", "Compile with -c first and link afterwards: the compilation then travels."],
  ["assigned-here", "The scheduler assigned the job to this machine.", "Nothing to do: no other machine was free or better."],
  ["native-cpu", "Code for exactly this processor.", "Name a processor with -march= instead of native."],
  ["precompiled-header", "A precompiled header.", "Build without precompiled headers: the farm gains more than they do."],
];

export class World {
  constructor({ hosts = 14, rate = 8, records = true, seed = 7, ended = 0, slots } = {}) {
    this.random = generator(seed);
    this.rate = rate;
    this.records = records;
    this.now = Date.now();
    this.began = this.now - 3 * 3_600_000;
    this.jobs = new Map();
    this.live = [];
    this.next = 1;
    this.totals = { remote: 0, own: 0, local: 0, failed: 0, lost: 0, cancelled: 0 };
    this.reasons = new Map();
    this.strip = [];
    this.audit = [];
    this.link = "up";
    this.hosts = Array.from({ length: hosts }, (_, at) => this.host(at, slots));
    this.debt = 0;
    for (let n = 0; n < ended; n += 1) this.past(n, ended);
    for (let n = 0; n < 300; n += 1) this.step(1000);
  }

  host(at, slots) {
    const name = at < 3 ? ["ada", "grace", "linus"][at] : `build${String(at - 2).padStart(2, "0")}`;
    return {
      id: at + 1, number: at + 1, name, ip: `10.1.${at >> 8}.${(at & 255) + 1}`, platform: at % 7 === 6 ? "aarch64" : "x86_64", protocol: 44,
      software: "gelato-0.1.0", features: ["env_xz", "env_zstd"], here: true, since: this.began, left: null, no_remote: at === 1, available: at !== 1,
      accepting: true, blocked: false, draining: false, installing: null, slots: slots ?? [4, 8, 16, 12][at % 4], running: 0, busy_local: 0, submitted: 0,
      waiting: 0, jobs_in: 0, jobs_out: 0, jobs_own: 0, jobs_local: 0, speed: 80 + ((at * 37) % 90), samples: 20, load: 200 + ((at * 131) % 700),
      averages: [1.2, 1.1, 0.9], free_memory_mb: 4096 + at * 512, mark: at % 24, sandbox: "namespaces", remark: null, strip: [],
      as_server: tally(), as_client: tally(), others: { Scheduler: "gelato/2" }, lanes: [],
    };
  }

  past(n, of) {
    const begun = this.now - (of - n) * 40;
    const job = this.job(this.pick(this.hosts.slice(0, 3)), begun);
    const server = this.pick(this.hosts);
    const took = 300 + Math.floor(this.random() * 5000);
    Object.assign(job, { server: server.id, state: "finished", begun, ended: begun + took, duration_ms: took, exit: 0, kind: "remote" });
    this.jobs.set(job.id, job);
  }

  job(client, at) {
    const language = this.random() < 0.25 ? "c" : "c++";
    const id = this.next++;
    return {
      id, number: id, file: `${this.pick(FOLDERS)}/${this.pick(WORDS)}_${Math.floor(this.random() * 400)}.${language === "c" ? "c" : "cpp"}`,
      language, client: client.id, server: null, lane: 0, state: "queued", kind: "remote", build: client.id, asked: at, begun: null, ended: null, wait_ms: 0,
      duration_ms: null, exit: null, user_ms: null, system_ms: null, page_faults: null, in_raw: null, in_compressed: null, out_raw: null,
      out_compressed: null, why: null, waiting: null, record: null,
    };
  }

  /** Lets time pass and says what changed. */
  step(ms) {
    this.now += ms;
    const changed = new Map();
    this.debt += (this.rate * ms) / 1000;
    while (this.debt >= 1) {
      this.debt -= 1;
      const client = this.pick(this.hosts.slice(0, 3));
      const job = this.job(client, this.now - Math.floor(this.random() * Math.min(ms, 200)));
      if (this.random() < 0.06) Object.assign(job, { kind: "local", state: "running", begun: job.asked, server: client.id, language: null, file: "bin/program" });
      this.jobs.set(job.id, job);
      this.live.push(job.id);
      changed.set(job.id, job);
    }
    const room = new Map(this.hosts.map((host) => [host.id, host.slots]));
    for (const id of this.live) {
      const job = this.jobs.get(id);
      if (job.state === "running" && job.kind !== "local") room.set(job.server, room.get(job.server) - 1);
    }
    const free = this.hosts.filter((host) => host.available && room.get(host.id) > 0);
    for (const id of this.live) {
      const job = { ...this.jobs.get(id) };
      if (job.state === "queued") {
        if (free.length === 0) {
          job.waiting = { position: 1, reason: "slot", text: "all slots are taken" };
          continue;
        }
        const at = Math.floor(this.random() * free.length);
        const server = free[at];
        room.set(server.id, room.get(server.id) - 1);
        if (room.get(server.id) <= 0) free.splice(at, 1);
        Object.assign(job, {
          state: "running", server: server.id, begun: this.now, wait_ms: this.now - job.asked, waiting: null, kind: server.id === job.client ? "own" : "remote",
          why: `${server.name} of ${free.length + 1} candidates: soonest done, 2.1 s estimated`,
        });
        server.jobs_in += 1;
      } else if (job.state === "running" && this.now - job.begun > 300 + ((job.id * 7919) % 9000)) {
        this.end(job);
      } else continue;
      this.jobs.set(job.id, job);
      changed.set(job.id, job);
    }
    this.live = this.live.filter((id) => this.jobs.get(id).ended === null);
    this.account();
    return { at: this.now, revision: 0, cluster: this.cluster(), hosts: this.hosts.map(({ strip, ...host }) => host), hosts_gone: [], jobs: [...changed.values()], builds: this.builds(), reasons: this.reasonRows(), alerts: this.alerts() };
  }

  end(job) {
    const failed = job.id % 97 === 0;
    const lost = job.id % 211 === 0;
    job.state = lost ? "lost" : failed ? "failed" : "finished";
    job.exit = lost ? 255 : failed ? 1 : 0;
    job.ended = this.now;
    job.duration_ms = this.now - job.begun;
    if (lost) this.totals.lost += 1;
    else if (failed) this.totals.failed += 1;
    this.totals[job.kind] += 1;
    if (!lost && job.kind !== "local") {
      Object.assign(job, { user_ms: Math.floor(job.duration_ms * 0.9), system_ms: 60, page_faults: 12_000 + (job.id % 5000), in_raw: 400_000 + (job.id % 90) * 10_000, in_compressed: 90_000, out_raw: 120_000 + (job.id % 40) * 5000, out_compressed: 40_000 });
    }
    const server = this.hosts[job.server - 1];
    server.as_server.jobs += 1;
    server.as_server.mean_ms = 3200;
    server.as_server.p50_ms = 2800;
    server.as_server.p95_ms = 8400;
    if (!this.records) return;
    const reason = job.kind === "local" ? REASONS[job.id % 7 === 0 ? 3 : 0] : job.kind === "own" ? REASONS[1] : job.id % 23 === 0 ? REASONS[2] : null;
    if (reason !== null) this.reasons.set(reason, (this.reasons.get(reason) ?? 0) + 1);
    const d = job.duration_ms;
    job.record = {
      end: job.ended, verdict: job.kind, reason: reason?.[0] ?? null, detail: "", subject: null, file: job.file.replace(/\.c(pp)?$/, ".o"), source: job.file,
      folder: "/home/dev/project", compiler: "g++", language: job.language, build: `project-${this.began}-${job.client}`, build_guessed: false, job: job.number, worker: server.name,
      exit: job.exit, retries: 0, verified: false, wall: d + 200, cpu: 400,
      phases: job.kind === "remote" ? { analyse: 2, wait: job.wait_ms, connect: 4, preprocess: Math.floor(d * 0.12), send: Math.floor(d * 0.08), compile: Math.floor(d * 0.7), receive: Math.floor(d * 0.05) } : { analyse: 2, slot: 10, local: d },
      sent: 90_000, received: 40_000, source_bytes: 400_000, output_bytes: 120_000, user: 1000 + job.client,
    };
  }

  account() {
    for (const host of this.hosts) Object.assign(host, { running: 0, busy_local: 0, submitted: 0, waiting: 0, lanes: [] });
    for (const id of this.live) {
      const job = this.jobs.get(id);
      const client = this.hosts[job.client - 1];
      if (job.state === "queued") client.waiting += 1;
      else {
        client.submitted += 1;
        const server = this.hosts[job.server - 1];
        server.running += 1;
        server.lanes.push(job.id);
        if (job.kind === "local") server.busy_local += 1;
      }
    }
    this.strip = [...this.strip, this.live.length].slice(-149);
    for (const host of this.hosts) host.strip = [...host.strip, host.running].slice(-60);
  }

  cluster() {
    const running = this.live.map((id) => this.jobs.get(id)).filter(({ state }) => state === "running");
    const { remote, own, local } = this.totals;
    const platforms = [...new Set(this.hosts.map(({ platform }) => platform))].map((platform) => {
      const here = this.hosts.filter((host) => host.platform === platform);
      return { platform, slots: sum(here.filter(({ available }) => available), "slots"), busy: sum(here, "running"), hosts: here.length };
    });
    return {
      scheduler: "10.1.0.1:8765", netname: "ICECREAM", protocol: 44, version: this.records ? "gelato-0.1.0" : null, algorithm: "finish", started: this.began, link: this.link,
      link_since: this.began, link_reason: this.link === "up" ? null : "connection refused", hosts: this.hosts.length, available: this.hosts.filter(({ available }) => available).length,
      active: this.hosts.filter(({ running: jobs }) => jobs > 0).length, slots: sum(this.hosts.filter(({ available }) => available), "slots"), running: running.length,
      running_here: running.filter(({ kind }) => kind !== "remote").length, queued: this.live.length - running.length, totals: { ...this.totals }, platforms,
      local_percent: remote + own + local > 0 ? Math.round((1000 * (own + local)) / (remote + own + local)) / 10 : null, has_records: this.records, now: this.now, busy_strip: this.strip,
    };
  }

  builds() {
    return this.hosts.slice(0, 3).map((client) => ({
      id: client.id, key: this.records ? `project-${this.began}-${client.id}` : null, guessed: !this.records, client: client.id, user: this.records ? 1000 + client.id : null, begun: this.now - 240_000,
      last: this.now, open: client.id !== 3, jobs: 480, running: client.submitted, remote: 420, own: 40, local: 20, failed_over: 1, refused: 0, failed: 2, lost: 0, files: 455,
      serial_ms: 1_900_000, wall_ms: 240_000, speed_up: 7.9, remote_percent: 87.5, sent: 42_000_000, received: 19_000_000, estimate_ms: client.id === 3 ? null : 61_000,
      reasons: this.records ? { "no-compile-step": 20, "assigned-here": 40 } : {}, parallel: Array.from({ length: 80 }, (_, at) => Math.round(10 + 8 * Math.sin(at / 6) + (at % 5))),
      parallel_step_ms: 3000, critical_path_ms: 38_000, critical_path_exact: this.records,
      verdict: client.id === 3 && this.records ? { bound: "slots", sentence: "The build waited for workers: 31 % of its jobs' time went by in the queue.", evidence: [{ what: "time in the queue", value: 31, unit: "%" }, { what: "jobs at once, on average", value: 11.4, unit: "" }, { what: "mean wait", value: 840, unit: "ms" }], what_if: [{ slots: 16, wall_ms: 240_000 }, { slots: 32, wall_ms: 131_000 }, { slots: 64, wall_ms: 84_000 }] } : null,
    }));
  }

  reasonRows() {
    return [...this.reasons].map(([[code, explanation, advice], count]) => ({ code, count, explanation, advice, example: "src/core/parser_1.cpp" })).sort((a, b) => b.count - a.count);
  }

  alerts() {
    return [{ id: "host-failing build02", code: "host-failing", severity: "critical", subject: "build02", since: this.began, value: 0.12, threshold: 0.03, text: "Jobs on build02 fail four times as often as elsewhere.", advice: "Drain build02 and check its memory and disk." }];
  }

  snapshot() {
    const jobs = [...this.jobs.values()];
    const live = new Set(this.live);
    const ended = jobs.filter(({ id }) => !live.has(id)).slice(-(this.most ?? 2000));
    return { at: this.now, revision: 0, cluster: this.cluster(), hosts: this.hosts, jobs: [...ended, ...this.live.map((id) => this.jobs.get(id))].sort((a, b) => a.id - b.id), builds: this.builds(), reasons: this.reasonRows(), alerts: this.alerts() };
  }

  answer(path, parameters) {
    const [name, id] = path.split("/");
    if (name === "cluster") return this.cluster();
    if (name === "hosts") return { hosts: this.hosts };
    if (name === "jobs") return id === undefined ? { jobs: [...this.jobs.values()] } : this.jobs.get(Number(id));
    if (name === "builds") {
      if (id === undefined) return { builds: this.builds() };
      const build = this.builds().find((one) => String(one.id) === id || one.key === decodeURIComponent(id));
      return build === undefined ? undefined : { build, jobs: [...this.jobs.values()].filter((job) => job.build === build.id).slice(-400) };
    }
    if (name === "slots") return { slots: [{ platform: "x86_64", now: 61, best: 92, suggestion: 92, reasoning: ["92 slots on 11 hosts take this platform", "8 processors here preprocess for up to 96 jobs"] }] };
    if (name === "files") {
      return { files: [...this.jobs.values()].slice(-60).map((job) => ({ file: job.file, jobs: 12, failed: 0, p50_ms: 2000 + (job.id % 4000), max_ms: 3000 + ((job.id * 131) % 16_000), mean_ms: 2500, in_raw: 500_000, out_raw: 140_000, host: job.server, trend: job.id % 3 === 0 ? 1.2 : 1 })).filter((row, at, all) => all.findIndex(({ file }) => file === row.file) === at) };
    }
    if (name === "people") return { people: this.hosts.slice(0, 3).map((client, at) => ({ user: this.records ? 1001 + at : null, client: client.id, jobs: 400 + at * 90, running: client.submitted, waiting: client.waiting, wait_mean_ms: this.records ? 120 : null, share: [52, 31, 17][at] })) };
    if (name === "toolchains") return { toolchains: [{ name: null, platform: "x86_64", size: null, hosts: this.hosts.slice(0, 6).map((host, at) => ({ host: host.id, count: 2, installing: at === 4 ? 1 : 0 })) }] };
    if (name === "audit") return { entries: this.audit, blocks: [] };
    if (name === "alerts") return { alerts: this.alerts() };
    if (name === "reasons") return { reasons: this.reasonRows() };
    if (path === "history/builds") return { builds: this.builds().map((build) => ({ ...build, id: build.id + 1000, key: `project-old-${build.id}`, begun: build.begun - 86_400_000, client_name: this.hosts[build.client - 1].name, open: false })) };
    if (path === "history/files") return { files: [{ file: "src/core/parser_1.cpp", jobs: 400, failed: 2, mean_ms: 4000, max_ms: 21_000, total_ms: 1_600_000, host: "build03", trend: 1.3 }] };
    if (name === "history") {
      const [from, to, step] = ["from", "to", "step"].map((key) => Number(parameters.get(key)));
      const points = [];
      for (let at = from; at < to && points.length < 2000; at += step) {
        const day = Math.max(0, Math.sin((at / 86_400_000) * 2 * Math.PI - 1.4)) + 0.1;
        points.push({ at, slots: 124, busy: 100 * day, queued: 6 * day * day, remote: Math.round(700 * day), own: Math.round(90 * day), local: Math.round(60 * day), failed: Math.round(8 * day), lost: 0, hosts: 14, wait_ms: 80 * day });
      }
      return { from, to, step, points, hosts: this.hosts.map((host, at) => ({ name: host.name, busy: points.map((point, n) => Math.min(1, (point.busy / 110) * (0.4 + ((at * 5 + n) % 7) / 7))) })) };
    }
    return undefined;
  }

  pick(list) {
    return list[Math.floor(this.random() * list.length)];
  }
}

const tally = () => ({ jobs: 0, failed: 0, lost: 0, mean_ms: null, p50_ms: null, p95_ms: null });
const sum = (rows, key) => rows.reduce((all, row) => all + row[key], 0);

function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
