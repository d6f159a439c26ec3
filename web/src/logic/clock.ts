// What time it is for the server, between two of its messages.
//
// Its clock may be another than ours, and a replay may run faster than time: the rate is learned from the messages.

export class ServerClock {
  private at = 0;
  private heard = 0;
  private rate = 1;
  private stopped = false;

  /** The server said `at` when our own monotonic clock showed `here`. */
  hear(at: number, here: number): void {
    if (this.at > 0 && here > this.heard) {
      const passed = at - this.at;
      const rate = passed / (here - this.heard);
      if (passed < 0 || rate > 200) this.rate = 1;
      else if (here - this.heard > 50) this.rate += (rate - this.rate) * 0.3;
    }
    this.at = at;
    this.heard = here;
    this.stopped = false;
  }

  /** Nothing is heard any more: time stands still. */
  stop(here: number): void {
    if (this.stopped) return;
    this.at = this.now(here);
    this.heard = here;
    this.stopped = true;
  }

  now(here: number): number {
    if (this.stopped || this.at === 0) return this.at;
    // A silent server is not ahead of its last word by more than this, or bars would run away.
    const since = Math.min(here - this.heard, 3000);
    return this.at + since * this.rate;
  }
}
