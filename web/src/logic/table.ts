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

/**
 * Nothing known comes last, whichever way is sorted; equals keep their order. Made for a hundred thousand rows: only different values
 * are compared, rows are then counted into their places.
 */
export function sortRows<T>(rows: readonly T[], value: (row: T) => Value, down: boolean): T[] {
  const places = new Map<string | number, number>();
  const which = Int32Array.from(rows, (row) => {
    const one = value(row);
    if (one === null || one === "" || Number.isNaN(one)) return -1;
    const key = typeof one === "boolean" ? Number(one) : one;
    const known = places.get(key);
    if (known !== undefined) return known;
    places.set(key, places.size);
    return places.size - 1;
  });
  const different = ordered(places.keys());
  if (down) different.reverse();
  const last = different.length;
  const ranks = new Uint32Array(last);
  different.forEach((one, rank) => (ranks[places.get(one) as number] = rank));
  const begins = new Uint32Array(last + 2);
  const rankOf = which.map((place) => (place < 0 ? last : (ranks[place] as number)));
  for (const rank of rankOf) begins[rank + 1] = (begins[rank + 1] as number) + 1;
  for (let rank = 1; rank < begins.length; rank += 1) begins[rank] = (begins[rank] as number) + (begins[rank - 1] as number);
  const sorted = new Array<T>(rows.length);
  rankOf.forEach((rank, at) => {
    const place = begins[rank] as number;
    begins[rank] = place + 1;
    sorted[place] = rows[at] as T;
  });
  return sorted;
}

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/** Different values in order, numbers before words. */
function ordered(values: Iterable<string | number>): (string | number)[] {
  const numbers: number[] = [];
  const words: string[] = [];
  for (const one of values) {
    if (typeof one === "number") numbers.push(one);
    else words.push(one);
  }
  return [...Float64Array.from(numbers).sort(), ...words.sort(words.length > MOST_WORDS ? undefined : collator.compare)];
}

/** The rows to draw, `[from, to)`. */
export function windowOf(top: number, height: number, rowHeight: number, rows: number, more: number): [number, number] {
  const from = Math.max(0, Math.min(rows, Math.floor(top / rowHeight)) - more);
  const to = Math.min(rows, Math.ceil((top + height) / rowHeight) + more);
  return [from, Math.max(from, to)];
}
