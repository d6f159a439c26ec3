// Where hosts stand around the scheduler: on rings of so many, the last ring evenly filled.

export interface Place {
  x: number;
  y: number;
  radius: number;
}

export function rings(count: number, perRing: number): number[] {
  if (count === 0) return [];
  const number = Math.ceil(count / Math.max(1, perRing));
  // Outer rings have more room: hosts are shared out by circumference.
  const weights = Array.from({ length: number }, (_, ring) => ring + 1.6);
  const all = weights.reduce((sum, weight) => sum + weight, 0);
  const sizes = weights.map((weight) => Math.floor((count * weight) / all));
  let rest = count - sizes.reduce((sum, size) => sum + size, 0);
  for (let ring = number - 1; rest > 0; ring = ring === 0 ? number - 1 : ring - 1) {
    sizes[ring] = (sizes[ring] ?? 0) + 1;
    rest -= 1;
  }
  return sizes.filter((size) => size > 0);
}

export function places(count: number, perRing: number, width: number, height: number): Place[] {
  const sizes = rings(count, perRing);
  const found: Place[] = [];
  const [halfX, halfY] = [width / 2, height / 2];
  sizes.forEach((size, ring) => {
    const share = sizes.length === 1 ? 1 : 0.45 + (0.55 * ring) / (sizes.length - 1);
    const [rx, ry] = [(halfX - 70) * share, (halfY - 56) * share];
    const least = Math.min(rx, ry);
    const room = (Math.PI * (rx + ry)) / size;
    for (let at = 0; at < size; at += 1) {
      const angle = ((at + (ring % 2) / 2) / size) * 2 * Math.PI - Math.PI / 2;
      found.push({
        x: halfX + Math.cos(angle) * rx,
        y: halfY + Math.sin(angle) * ry,
        radius: Math.max(5, Math.min(20, room / 3.2, least / 4)),
      });
    }
  });
  return found;
}
