// The rows of /api/v1, as the server writes them. Times are milliseconds since 1970; ids are the server's and last as long as it runs.
// Numbers are shown as they come: what they mean is defined once, by the server's model.

export type LinkState = "searching" | "up" | "down";

export interface Totals {
  remote: number;
  own: number;
  local: number;
  failed: number;
  lost: number;
  cancelled: number;
}

export interface ClusterRow {
  scheduler: string | null;
  netname: string | null;
  protocol: number | null;
  version: string | null;
  algorithm: string | null;
  started: number | null;
  link: LinkState;
  link_since: number | null;
  link_reason: string | null;
  hosts: number;
  available: number;
  active: number;
  slots: number;
  running: number;
  running_here: number;
  queued: number;
  totals: Totals;
  platforms: { platform: string; slots: number; busy: number; hosts: number }[];
  local_percent: number | null;
  has_records: boolean;
  now: number;
  busy_strip: number[];
  /** Names and addresses of blocked hosts, if the scheduler tells. */
  blocked?: string[];
}

export interface Figures {
  jobs: number;
  failed: number;
  lost: number;
  mean_ms: number | null;
  p50_ms: number | null;
  p95_ms: number | null;
}

export interface HostRow {
  id: number;
  number: number | null;
  name: string;
  ip: string;
  platform: string;
  protocol: number;
  software: string | null;
  features: string[];
  here: boolean;
  left: number | null;
  no_remote: boolean;
  available: boolean;
  accepting: boolean | null;
  blocked: boolean;
  draining: boolean;
  slots: number;
  running: number;
  busy_local: number;
  submitted: number;
  waiting: number;
  speed: number;
  samples: number | null;
  load: number;
  averages: [number, number, number] | null;
  free_memory_mb: number | null;
  mark: number;
  sandbox: string | null;
  remark: string | null;
  /** Left out of changes. */
  strip?: number[];
  as_server: Figures;
  as_client: Figures;
  others: Record<string, string>;
  lanes: (number | null)[];
  since: number;
  installing: number | null;
  jobs_in: number;
  jobs_out: number;
  jobs_own: number;
  jobs_local: number;
}

export type JobState = "queued" | "running" | "finished" | "failed" | "lost" | "cancelled";
export type JobKind = "remote" | "own" | "local";

export const PHASES = [
  "analyse",
  "toolchain",
  "wait",
  "connect",
  "install",
  "preprocess",
  "send",
  "compile",
  "receive",
  "slot",
  "local",
] as const;
export type Phase = (typeof PHASES)[number];

export interface JobRecord {
  end: number;
  verdict: "remote" | "own" | "local" | "failed-over" | "refused";
  reason: string | null;
  detail: string;
  subject: string | null;
  file: string;
  source: string;
  folder: string;
  compiler: string;
  language: string | null;
  build: string | null;
  build_guessed: boolean;
  job: number | null;
  worker: string | null;
  exit: number;
  retries: number;
  verified: boolean;
  wall: number;
  cpu: number;
  phases: Partial<Record<Phase, number>>;
  sent: number;
  received: number;
  source_bytes: number;
  output_bytes: number;
  user: number | null;
}

export interface JobRow {
  id: number;
  number: number;
  file: string;
  language: string | null;
  client: number | null;
  server: number | null;
  lane: number;
  state: JobState;
  kind: JobKind;
  build: number | null;
  asked: number;
  begun: number | null;
  ended: number | null;
  wait_ms: number;
  duration_ms: number | null;
  exit: number | null;
  user_ms: number | null;
  system_ms: number | null;
  page_faults: number | null;
  in_raw: number | null;
  in_compressed: number | null;
  out_raw: number | null;
  out_compressed: number | null;
  why: string | null;
  waiting: Waiting | null;
  record: JobRecord | null;
}

export interface Waiting {
  position: number | null;
  reason: string;
  text: string;
}

export interface Evidence {
  what: string;
  value: number;
  unit: string;
}

export interface Verdict {
  bound: string;
  sentence: string;
  evidence: Evidence[];
  what_if: { slots: number; wall_ms: number }[];
}

export interface BuildRow {
  id: number;
  key: string | null;
  guessed: boolean;
  client: number;
  user: number | null;
  begun: number;
  last: number;
  open: boolean;
  jobs: number;
  running: number;
  remote: number;
  own: number;
  local: number;
  failed_over: number;
  refused: number;
  failed: number;
  lost: number;
  files: number;
  serial_ms: number;
  wall_ms: number;
  speed_up: number | null;
  remote_percent: number | null;
  sent: number;
  received: number;
  estimate_ms: number | null;
  reasons: Record<string, number>;
  parallel: number[];
  parallel_step_ms: number;
  critical_path_ms: number;
  critical_path_exact: boolean;
  verdict: Verdict | null;
}

export interface ReasonRow {
  code: string;
  count: number;
  explanation: string;
  advice: string;
  example: string;
}

export interface FileRow {
  file: string;
  jobs: number;
  failed: number;
  p50_ms: number;
  max_ms: number;
  mean_ms: number;
  in_raw: number;
  out_raw: number;
  host: number | null;
  trend: number | null;
}

/** A file in the history. */
export interface PastFile {
  file: string;
  jobs: number;
  failed: number;
  mean_ms: number;
  max_ms: number;
  total_ms: number;
  host: string;
  trend: number | null;
}

/** A build in the history; the number of its submitter means nothing any more. */
export interface PastBuild extends BuildRow {
  client_name: string;
}

export interface SlotsRow {
  platform: string;
  now: number;
  best: number;
  suggestion: number;
  reasoning: string[];
}

export interface AlertRow {
  id: string;
  code: string;
  severity: "warning" | "critical";
  subject: string;
  since: number;
  value: number;
  threshold: number;
  text: string;
  advice: string;
}

export interface PersonRow {
  user: number | null;
  client: number;
  jobs: number;
  running: number;
  waiting: number;
  wait_mean_ms: number | null;
  share: number;
}

export interface ToolchainRow {
  name: string | null;
  platform: string;
  hosts: { host: number; count: number; installing: number }[];
  size: number | null;
}

export interface AuditRow {
  at: number;
  who: string;
  action: string;
  host: string;
  reason: string | null;
  for_s: number | null;
  result: string;
  ok: boolean;
}

export interface BlockRow {
  host: string;
  reason: string | null;
  who: string | null;
  since: number | null;
  until: number | null;
}

export interface HistoryPoint {
  at: number;
  slots: number | null;
  busy: number | null;
  queued: number | null;
  remote: number | null;
  own: number | null;
  local: number | null;
  failed: number | null;
  lost: number | null;
  hosts: number | null;
  wait_ms: number | null;
}

export interface History {
  from: number;
  to: number;
  step: number;
  points: HistoryPoint[];
  hosts: { name: string; busy: (number | null)[] }[];
}

export interface Snapshot {
  at: number;
  cluster: ClusterRow;
  hosts: HostRow[];
  jobs: JobRow[];
  builds: BuildRow[];
  reasons: ReasonRow[];
  alerts: AlertRow[];
}

export interface Delta {
  at: number;
  cluster?: ClusterRow;
  hosts?: HostRow[];
  hosts_gone?: number[];
  jobs?: JobRow[];
  builds?: BuildRow[];
  reasons?: ReasonRow[];
  alerts?: AlertRow[];
}
