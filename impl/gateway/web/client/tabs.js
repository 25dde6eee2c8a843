// Which tabs of this browser are alive, by the Web Locks that they hold.

const PREFIX = "idiom.tab.";

/** This tab among the others. */
export class Tabs {
  #locks;
  #id;
  #gone;
  #watched = new Set();
  #leave = new AbortController();
  #release = null;

  /** `gone(tab)` is called for each watched tab that is gone. Without Web Locks every other tab counts as gone. */
  constructor(id, gone, locks = globalThis.navigator?.locks) {
    this.#id = id;
    this.#gone = gone;
    this.#locks = locks;
  }

  /** Shows the others that this tab is alive. */
  enter() {
    const held = new Promise((resolve) => {
      this.#release = resolve;
    });
    void this.#locks?.request(PREFIX + this.#id, () => held);
  }

  /** Learns when other tabs are gone. */
  watch(tabs) {
    for (const tab of tabs) {
      if (tab === this.#id || this.#watched.has(tab)) continue;
      this.#watched.add(tab);
      if (this.#locks) void this.#await(tab);
      else this.#gone(tab);
    }
  }

  leave() {
    this.#leave.abort();
    this.#release?.();
  }

  async #await(tab) {
    const { signal } = this.#leave;
    await this.#locks
      .request(PREFIX + tab, { signal }, () => this.#gone(tab))
      .catch((error) => {
        if (!signal.aborted) throw error;
      });
  }
}
