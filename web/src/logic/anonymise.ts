// Names that tell nothing, for demonstrations and screenshots: the same name always becomes the same words, and another one
// becomes others. Only what is drawn is changed; filters and keys work on the true names.

function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) {
    value ^= text.charCodeAt(i);
    value = Math.imul(value, 0x01000193) >>> 0;
  }
  return value;
}

const word = (text: string): string => hash(text).toString(36).padStart(6, "0").slice(0, 6);

export const hiddenHost = (name: string): string => `host-${word(name).slice(0, 4)}`;
export const hiddenUser = (name: string): string => `user-${word(name).slice(0, 4)}`;

/** Folders and stem are hidden, the suffix stays: it tells the language, not the project. */
export function hiddenFile(path: string): string {
  return path
    .split("/")
    .map((part, at, all) => {
      if (part === "" || part === "." || part === "..") return part;
      const dot = part.lastIndexOf(".");
      const suffix = at === all.length - 1 && dot > 0 ? part.slice(dot) : "";
      return word(part) + suffix;
    })
    .join("/");
}

/** An address with its last parts hidden. */
export function hiddenAddress(address: string): string {
  return address.replace(/[0-9a-f]+/gi, "x");
}
