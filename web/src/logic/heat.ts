// Colours between two, for heat maps.

const parts = (hex: string): [number, number, number] => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)) as [number, number, number];

/** From `a` (share 0) to `b` (share 1), both `#rrggbb`. */
export function mix(a: string, b: string, share: number): string {
  const [from, to] = [parts(a), parts(b)];
  const at = Math.max(0, Math.min(1, share));
  const mixed = from.map((value, index) => Math.round(value + ((to[index] ?? value) - value) * at));
  return `rgb(${mixed.join(" ")})`;
}
