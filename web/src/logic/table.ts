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

/** Nothing known comes last, whichever way is sorted; equals keep their order. */
export function sortRows<T>(rows: readonly T[], value: (row: T) => Value, down: boolean): T[] {
  const keyed = rows.map((row) => ({ row, key: value(row) }));
  const way = down ? -1 : 1;
  keyed.sort((a, b) => {
    if (a.key === b.key) return 0;
    if (a.key === null || a.key === "") return 1;
    if (b.key === null || b.key === "") return -1;
    if (typeof a.key === "string" && typeof b.key === "string") return way * compareWords(a.key, b.key);
    return way * (Number(a.key) - Number(b.key));
  });
  return keyed.map(({ row }) => row);
}

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

function compareWords(a: string, b: string): number {
  return collator.compare(a, b);
}

/** The rows to draw, `[from, to)`. */
export function windowOf(top: number, height: number, rowHeight: number, rows: number, more: number): [number, number] {
  const from = Math.max(0, Math.min(rows, Math.floor(top / rowHeight)) - more);
  const to = Math.min(rows, Math.ceil((top + height) / rowHeight) + more);
  return [from, Math.max(from, to)];
}
