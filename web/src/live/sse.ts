// Server-sent events read by hand, because the browser's own reader hides what we need: the status of a refusal and the comment
// lines that say that the server is alive.

export interface Message {
  event: string;
  data: string;
}

/** Cuts a stream of text into messages; comment lines are only counted as life. */
export class SseParser {
  private rest = "";
  private event = "";
  private data: string[] = [];

  push(text: string): Message[] {
    const messages: Message[] = [];
    this.rest += text;
    let from = 0;
    for (;;) {
      const end = this.rest.indexOf("\n", from);
      if (end < 0) break;
      const line = this.rest.slice(from, this.rest[end - 1] === "\r" ? end - 1 : end);
      from = end + 1;
      if (line === "") {
        if (this.data.length > 0) messages.push({ event: this.event || "message", data: this.data.join("\n") });
        this.event = "";
        this.data = [];
      } else if (line.startsWith("data:")) {
        this.data.push(line.slice(line[5] === " " ? 6 : 5));
      } else if (line.startsWith("event:")) {
        this.event = line.slice(6).trim();
      }
    }
    this.rest = this.rest.slice(from);
    return messages;
  }
}

/** Milliseconds to wait before the next attempt: doubling, with a share of chance so that many pages do not come at once. */
export function backOff(attempt: number, chance: number): number {
  const whole = Math.min(15_000, 500 * 2 ** Math.min(attempt, 10));
  return Math.round(whole * (0.5 + chance / 2));
}
