// A table of any length: only the rows that can be seen exist. Columns are sorted, hidden and moved, and that is remembered.
//
// It stays a real table for screen readers: rows carry their place in the whole, spacers stand for what is not drawn.

import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { useDerived } from "../live/derived";
import { remember, remembered } from "../live/settings";
import { arrange, type Arrangement, move, sortRows, windowOf } from "../logic/table";
import { Icon } from "./icons";

export interface Column<T> {
  key: string;
  title: string;
  hint?: string;
  /** In rem; a column without takes what is left. */
  width?: number;
  end?: boolean;
  value: (row: T) => number | string | boolean | null;
  cell?: (row: T) => ComponentChildren;
  hidden?: boolean;
}

interface Props<T> {
  name: string;
  label: string;
  columns: readonly Column<T>[];
  rows: readonly T[];
  rowKey: (row: T) => string | number;
  sort: { key: string; down: boolean };
  /** The order `rows` already has, so that sorting by it costs nothing. */
  given?: { key: string; down: boolean };
  empty: ComponentChildren;
  selected?: string | number | null;
  onOpen?: (row: T) => void;
  rowClass?: (row: T) => string;
  tools?: ComponentChildren;
  fill?: boolean;
  /** Keeps to the first rows as new ones come. */
  follow?: boolean;
  /** What the viewer asked for: when it changes, rows are sorted at once, however many they are. */
  asked?: string;
}

interface Kept {
  sort: { key: string; down: boolean };
  arrangement: Arrangement;
}

const OVERSCAN = 6;

export function DataTable<T>(props: Props<T>) {
  const { columns, rows, rowKey } = props;
  const [kept, setKept] = useState<Kept>(() =>
    remembered<Kept>(`table.${props.name}`, { sort: props.sort, arrangement: { order: [], hidden: null } }),
  );
  const keep = (next: Kept) => {
    setKept(next);
    remember(`table.${props.name}`, next);
  };
  const shown = arrange(columns, kept.arrangement);
  const sorted = useDerived<readonly T[]>(() => {
    const column = columns.find(({ key }) => key === kept.sort.key) ?? columns[0];
    if (column === undefined) return rows;
    const { given } = props;
    if (given !== undefined && given.key === column.key) {
      return given.down === kept.sort.down ? rows : [...rows].reverse();
    }
    return sortRows(rows, column.value, kept.sort.down);
  }, rows, [kept.sort.key, kept.sort.down, props.asked]);

  const scroller = useRef<HTMLDivElement>(null);
  const body = useRef<HTMLTableSectionElement>(null);
  const [view, setView] = useState({ top: 0, height: 600 });
  const [, setFocused] = useState(0);
  // Keys may come faster than rows are drawn.
  const focus = useRef(0);
  const setFocus = (at: number) => {
    focus.current = at;
    setFocused(at);
  };
  // Asking the element where it is makes the browser lay the table out at once, so its last word is kept.
  const scrolled = useRef(0);
  const wantsFocus = useRef(false);
  const rowHeight = useRowHeight();

  useEffect(() => {
    const element = scroller.current;
    if (element === null) return;
    const look = () => {
      scrolled.current = element.scrollTop;
      setView({ top: scrolled.current, height: element.clientHeight });
    };
    const observer = new ResizeObserver(look);
    observer.observe(element);
    element.addEventListener("scroll", look, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", look);
    };
  }, []);

  // New rows on top push the others down; who reads further below shall not lose the place, unless following.
  const topKey = sorted.length > 0 ? rowKey(sorted[0] as T) : null;
  const anchor = useRef<{ key: string | number; index: number } | null>(null);
  useLayoutEffect(() => {
    const element = scroller.current;
    if (element === null) return;
    if (props.follow === true) {
      if (scrolled.current !== 0) element.scrollTop = 0;
      return;
    }
    const first = Math.floor(scrolled.current / rowHeight);
    const last = anchor.current;
    if (last !== null && first > 0) {
      const now = nearby(sorted, last, rowKey);
      if (now >= 0 && now !== last.index) {
        element.scrollTop += (now - last.index) * rowHeight;
        scrolled.current = element.scrollTop;
      }
    }
    const at = Math.floor(scrolled.current / rowHeight);
    const row = sorted[at];
    anchor.current = row === undefined ? null : { key: rowKey(row), index: at };
  }, [topKey, sorted, view.top, props.follow]);

  const current = Math.min(focus.current, Math.max(0, sorted.length - 1));
  const [from, to] = windowOf(view.top, view.height, rowHeight, sorted.length, OVERSCAN);

  useLayoutEffect(() => {
    if (!wantsFocus.current) return;
    wantsFocus.current = false;
    body.current?.querySelector<HTMLElement>(`tr[data-at="${current}"]`)?.focus({ preventScroll: true });
  });

  const focusRow = (at: number) => {
    const next = Math.max(0, Math.min(sorted.length - 1, at));
    const element = scroller.current;
    if (element !== null) {
      const head = element.querySelector("thead")?.clientHeight ?? 0;
      const y = next * rowHeight;
      if (y < element.scrollTop) element.scrollTop = y;
      else if (y + rowHeight + head > element.scrollTop + element.clientHeight) {
        element.scrollTop = y + rowHeight + head - element.clientHeight;
      }
    }
    wantsFocus.current = true;
    setFocus(next);
    setView((old) => ({ ...old, top: element?.scrollTop ?? old.top }));
  };

  const onKey = (event: KeyboardEvent) => {
    const page = Math.max(1, Math.floor(view.height / rowHeight) - 2);
    const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, j: 1, k: -1 };
    const step = steps[event.key];
    if (step !== undefined) focusRow(focus.current + step);
    else if (event.key === "Home") focusRow(0);
    else if (event.key === "End") focusRow(sorted.length - 1);
    else if (event.key === "Enter" || event.key === " ") {
      const row = sorted[focus.current];
      if (row === undefined || props.onOpen === undefined || event.target instanceof HTMLAnchorElement) return;
      props.onOpen(row);
    } else return;
    event.preventDefault();
  };

  const tableWidth = shown.reduce((sum, column) => sum + (column.width ?? 14), 0);
  return (
    <div class={`table-block ${props.fill === true ? "fill" : ""}`}>
      <div class="table-tools">
        {props.tools}
        <ColumnMenu columns={columns} arrangement={kept.arrangement} onChange={(arrangement) => keep({ ...kept, arrangement })} />
      </div>
      <div class="table-scroll" ref={scroller} role="region" aria-label={`${props.label}, scrollable`} tabIndex={0}>
        <table aria-label={props.label} aria-rowcount={sorted.length + 1} style={{ minWidth: `${tableWidth}rem` }}>
          <colgroup>
            {shown.map((column) => (
              <col key={column.key} style={{ width: column.width === undefined ? "auto" : `${column.width}rem` }} />
            ))}
          </colgroup>
          <thead>
            <tr aria-rowindex={1}>
              {shown.map((column) => {
                const active = kept.sort.key === column.key;
                return (
                  <th
                    key={column.key}
                    scope="col"
                    class={column.end === true ? "end" : ""}
                    aria-sort={active ? (kept.sort.down ? "descending" : "ascending") : "none"}
                  >
                    <button
                      type="button"
                      title={column.hint ?? column.title}
                      onClick={() =>
                        keep({ ...kept, sort: { key: column.key, down: active ? !kept.sort.down : column.end === true } })
                      }
                    >
                      <span>{column.title}</span>
                      {active && <Icon name={kept.sort.down ? "down" : "up"} size={10} />}
                    </button>
                  </th>
                );
              })}
            </tr>
          </thead>
          <tbody ref={body} onKeyDown={onKey}>
            {from > 0 && <Spacer height={from * rowHeight} columns={shown.length} />}
            {sorted.slice(from, to).map((row, offset) => {
              const at = from + offset;
              const key = rowKey(row);
              return (
                <tr
                  key={key}
                  data-at={at}
                  data-key={key}
                  aria-rowindex={at + 2}
                  aria-current={props.selected === key ? "true" : undefined}
                  class={`${props.rowClass?.(row) ?? ""} ${props.onOpen === undefined ? "" : "opens"}`}
                  tabIndex={props.onOpen !== undefined && at === current ? 0 : -1}
                  onFocus={() => {
                    if (focus.current !== at) setFocus(at);
                  }}
                  onClick={(event) => {
                    if (event.target instanceof Element && event.target.closest("a,button") !== null) return;
                    props.onOpen?.(row);
                  }}
                >
                  {shown.map((column) => (
                    <td key={column.key} class={column.end === true ? "end" : ""}>
                      {column.cell === undefined ? column.value(row) : column.cell(row)}
                    </td>
                  ))}
                </tr>
              );
            })}
            {to < sorted.length && <Spacer height={(sorted.length - to) * rowHeight} columns={shown.length} />}
          </tbody>
        </table>
        {sorted.length === 0 && <p class="empty">{props.empty}</p>}
      </div>
    </div>
  );
}

/** Where the row went: looked for close to where it was, for it moves by what was put before it. */
function nearby<T>(rows: readonly T[], last: { key: string | number; index: number }, rowKey: (row: T) => string | number): number {
  const most = Math.min(rows.length, last.index + 5000);
  for (let at = last.index; at < most; at += 1) if (rowKey(rows[at] as T) === last.key) return at;
  for (let at = Math.min(last.index, rows.length) - 1; at >= Math.max(0, last.index - 5000); at -= 1) {
    if (rowKey(rows[at] as T) === last.key) return at;
  }
  return -1;
}

function Spacer({ height, columns }: { height: number; columns: number }) {
  return (
    <tr class="spacer" aria-hidden="true">
      <td colSpan={columns} style={{ height: `${height}px` }} />
    </tr>
  );
}

/** Rows are 2 rem high, as the style sheet says. */
function useRowHeight(): number {
  const read = () => 2 * parseFloat(getComputedStyle(document.documentElement).fontSize);
  const [height, set] = useState(read);
  useEffect(() => {
    const observer = new ResizeObserver(() => set(read()));
    observer.observe(document.documentElement);
    return () => observer.disconnect();
  }, []);
  return height;
}

function ColumnMenu<T>(props: {
  columns: readonly Column<T>[];
  arrangement: Arrangement;
  onChange: (arrangement: Arrangement) => void;
}) {
  const [open, setOpen] = useState(false);
  const element = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!open) return;
    const outside = (event: Event) => {
      if (event.target instanceof Node && element.current?.contains(event.target) === false) setOpen(false);
    };
    addEventListener("pointerdown", outside);
    return () => removeEventListener("pointerdown", outside);
  }, [open]);
  const all = arrange(props.columns, { ...props.arrangement, hidden: [] });
  const visible = new Set(arrange(props.columns, props.arrangement).map(({ key }) => key));
  const order = all.map(({ key }) => key);
  const hidden = order.filter((key) => !visible.has(key));
  return (
    <div
      class="menu"
      ref={element}
      onKeyDown={(event) => {
        if (event.key === "Escape" && open) {
          event.stopPropagation();
          setOpen(false);
          element.current?.querySelector("button")?.focus();
        }
      }}
    >
      <button type="button" class="button quiet" aria-expanded={open} onClick={() => setOpen(!open)}>
        <Icon name="columns" size={14} /> Columns
      </button>
      {open && (
        <div class="popover" role="group" aria-label="Columns">
          <ul>
            {all.map((column, at) => (
              <li key={column.key}>
                <label>
                  <input
                    type="checkbox"
                    checked={visible.has(column.key)}
                    disabled={visible.has(column.key) && visible.size === 1}
                    onChange={() =>
                      props.onChange({
                        order,
                        hidden: visible.has(column.key) ? [...hidden, column.key] : hidden.filter((key) => key !== column.key),
                      })
                    }
                  />
                  {column.hint ?? column.title}
                </label>
                <span>
                  <button type="button" class="tiny" disabled={at === 0} aria-label={`Move ${column.title} left`}
                    onClick={() => props.onChange({ order: move(order, at, -1), hidden })}>
                    <Icon name="up" size={12} />
                  </button>
                  <button type="button" class="tiny" disabled={at === all.length - 1} aria-label={`Move ${column.title} right`}
                    onClick={() => props.onChange({ order: move(order, at, 1), hidden })}>
                    <Icon name="down" size={12} />
                  </button>
                </span>
              </li>
            ))}
          </ul>
          <button type="button" class="button" onClick={() => props.onChange({ order: [], hidden: null })}>
            As it was
          </button>
        </div>
      )}
    </div>
  );
}
