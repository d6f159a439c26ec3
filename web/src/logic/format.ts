// Numbers as words, the same everywhere on the page. Nothing known is an en dash, never 0.

export const NOTHING = "–";

/** A duration in ms, to about three significant digits. */
export function duration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return NOTHING;
  const value = Math.max(0, ms);
  if (value < 1000) return `${Math.round(value)} ms`;
  const seconds = value / 1000;
  if (seconds < 9.995) return `${seconds.toFixed(2)} s`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${pad(whole % 60)} s`;
  const minutes = Math.round(whole / 60);
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${pad(minutes % 60)} min`;
  return `${Math.round(minutes / 60 / 24)} d`;
}

/** A span of time for people in a hurry: one unit. */
export function age(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

export function bytes(count: number | null | undefined): string {
  if (count === null || count === undefined || !Number.isFinite(count)) return NOTHING;
  let value = Math.max(0, count);
  let unit = 0;
  while (value >= 1023.5 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : 1;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}

/** A count with thin spaces between thousands. */
export function count(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NOTHING;
  const text = Math.abs(Math.round(value)).toString();
  const grouped = text.length > 4 ? text.replace(/\B(?=(\d{3})+$)/g, "\u202f") : text;
  return value <= -0.5 ? `\u2212${grouped}` : grouped;
}

/** A count for narrow places: `12k`, `3.4M`. */
export function short(value: number): string {
  const [divisor, unit] = value >= 1e6 ? [1e6, "M"] : value >= 1e4 ? [1e3, "k"] : [1, ""];
  return `${Math.round((value / divisor) * 10) / 10}${unit}`;
}

export function decimal(value: number | null | undefined, digits: number): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NOTHING;
  return value.toFixed(digits);
}

export function percent(value: number | null | undefined, digits = 0): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NOTHING;
  return `${value.toFixed(digits)} %`;
}

/** `one` with its number, or the plural. */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** A zone `Intl` knows, or the browser's own. */
export function usableZone(zone: string): string | undefined {
  if (zone === "" || zone === "local") return undefined;
  try {
    new Intl.DateTimeFormat("en-GB", { timeZone: zone });
    return zone;
  } catch {
    return undefined;
  }
}

const formats = new Map<string, Intl.DateTimeFormat>();

function format(kind: "time" | "minute" | "day" | "full", zone: string): Intl.DateTimeFormat {
  const key = `${kind} ${zone}`;
  let found = formats.get(key);
  if (found === undefined) {
    const timeZone = usableZone(zone);
    const clock = { hour: "2-digit", minute: "2-digit", hour12: false } as const;
    const date = { day: "2-digit", month: "short" } as const;
    const options: Intl.DateTimeFormatOptions = {
      time: { ...clock, second: "2-digit" as const },
      minute: clock,
      day: date,
      full: { ...date, year: "numeric" as const, ...clock, second: "2-digit" as const },
    }[kind];
    found = new Intl.DateTimeFormat("en-GB", timeZone === undefined ? options : { ...options, timeZone });
    formats.set(key, found);
  }
  return found;
}

export const clockTime = (at: number, zone: string): string => format("time", zone).format(at);
export const minuteTime = (at: number, zone: string): string => format("minute", zone).format(at);
export const dayOf = (at: number, zone: string): string => format("day", zone).format(at);
export const fullTime = (at: number, zone: string): string => format("full", zone).format(at);

/** The last part of a path. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

function pad(value: number): string {
  return value.toString().padStart(2, "0");
}
