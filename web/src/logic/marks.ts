// A colour and a letter for each host. The server gives each of the first 24 hosts a mark of its own and keeps it across logins;
// the letter is shown with the colour wherever the colour has a meaning.
//
// Eight hues that stay apart for colour-blind readers, each in three lightnesses, dealt so that neighbours differ in both.

export const MARKS = 24;

interface Shade {
  fill: string;
  ink: string;
}

const HUES: [string, string, string][] = [
  ["#3d84c6", "#1f5a92", "#8fc1ea"], // blue
  ["#e0913a", "#a85f14", "#f6c78d"], // orange
  ["#2a9d84", "#14695a", "#83d3bf"], // green
  ["#c45b9d", "#8b2f6b", "#eaa8d2"], // magenta
  ["#d3b42c", "#8a740d", "#efdf8a"], // yellow
  ["#7a6fd0", "#4a3f9c", "#b9b2f0"], // violet
  ["#cf5a49", "#93301f", "#f0aa9f"], // red
  ["#6f8794", "#44565f", "#b6c6ce"], // slate
];

export const SHADES: Shade[] = Array.from({ length: MARKS }, (_, mark) => {
  const fill = HUES[mark % 8]?.[Math.floor(mark / 8)] ?? "#888888";
  return { fill, ink: inkOn(fill) };
});

export function shade(mark: number | null | undefined): Shade {
  if (mark === null || mark === undefined) return { fill: "#8a8f98", ink: "#000000" };
  return SHADES[((mark % MARKS) + MARKS) % MARKS] as Shade;
}

/** The letter of a mark: `a` to `x`. */
export function letter(mark: number | null | undefined): string {
  if (mark === null || mark === undefined) return "?";
  return String.fromCharCode(97 + (((mark % MARKS) + MARKS) % MARKS));
}

/** Relative luminance of `#rrggbb`, 0 to 1. */
export function luminance(hex: string): number {
  const channel = (at: number) => {
    const value = parseInt(hex.slice(at, at + 2), 16) / 255;
    return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
}

/** Black or white, whichever is read better on `fill`. */
export function inkOn(fill: string): string {
  return luminance(fill) > 0.179 ? "#000000" : "#ffffff";
}
