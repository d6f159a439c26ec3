// Sorting, arranging and windowing of tables, without a table.

export interface Arrangement {
  /** Keys in the viewer's order; columns that are not named follow in theirs. */
  order: string[];
  /** Keys that are hidden; `null` for what the columns themselves say. */
  hidden: string[] | null;
}

interface Arranged {
  key: string;
  hidden?: boolean;
}

export function arrange<C extends Arranged>(columns: readonly C[], arrangement: Arrangement): C[] {
  const place = new Map(arrangement.order.map((key, at) => [key, at]));
  const ordered = columns
    .map((column, at) => ({ column, at: place.get(column.key) ?? arrangement.order.length + at }))
    .sort((a, b) => a.at - b.at)
    .map(({ column }) => column);
  const { hidden } = arrangement;
  const shown = ordered.filter((column) => (hidden === null ? column.hidden !== true : !hidden.includes(column.key)));
  return shown.length > 0 ? shown : ordered.slice(0, 1);
}

export function move(order: readonly string[], at: number, by: number): string[] {
  const moved = [...order];
  const [key] = moved.splice(at, 1);
  if (key !== undefined) moved.splice(Math.max(0, Math.min(order.length - 1, at + by)), 0, key);
  return moved;
}

type Value = number | string | boolean | null;

/** More different words than this are compared by their letters' numbers alone: the language's order costs too much. */
const MOST_WORDS = 4000;

/** Nothing known comes last, whichever way is sorted; equals keep their order. Made for a hundred thousand rows. */
export function sortRows<T>(rows: readonly T[], value: (row: T) => Value, down: boolean): T[] {
  const values = rows.map(value);
  const ranks = rankWords(values);
  const way = down ? -1 : 1;
  const keys = Float64Array.from(values, (one) => {
    if (one === null || one === "") return Infinity;
    const key = typeof one === "string" ? (ranks.get(one) ?? 0) : Number(one);
    return Number.isFinite(key) ? way * key : Infinity;
  });
  const order = Uint32Array.from(rows.keys());
  order.sort((a, b) => {
    const [x, y] = [keys[a] as number, keys[b] as number];
    return x < y ? -1 : x > y ? 1 : a - b;
  });
  return Array.from(order, (at) => rows[at] as T);
}

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/** The place of each different word among all. */
function rankWords(values: readonly Value[]): Map<string, number> {
  const words = new Set<string>();
  for (const one of values) if (typeof one === "string") words.add(one);
  const sorted = [...words].sort(words.size > MOST_WORDS ? undefined : collator.compare);
  return new Map(sorted.map((word, rank) => [word, rank]));
}

/** The rows to draw, `[from, to)`. */
export function windowOf(top: number, height: number, rowHeight: number, rows: number, more: number): [number, number] {
  const from = Math.max(0, Math.min(rows, Math.floor(top / rowHeight)) - more);
  const to = Math.min(rows, Math.ceil((top + height) / rowHeight) + more);
  return [from, Math.max(from, to)];
}
