// What of a conversation somebody has really seen: it was on the screen of a window that had the focus.

/** Watches the items of a list within its scrolling parent. */
export class Reading {
  #observer;
  #watched = new WeakSet();
  #visible = new Set();
  #seen;

  /** `seen(seq)` is called with the highest number that is seen. */
  constructor(scroll, seen) {
    this.#seen = seen;
    this.#observer = new IntersectionObserver((entries) => this.#moved(entries), { root: scroll });
    for (const type of ["focus", "visibilitychange"]) addEventListener(type, () => this.look(), true);
  }

  /** Watches items that are new. What ends a message is what has to be seen of it. */
  watch(items) {
    for (const item of items) {
      const end = item.querySelector(".meta") ?? item;
      if (!item.dataset.seq || this.#watched.has(end)) continue;
      this.#watched.add(end);
      this.#observer.observe(end);
    }
  }

  /** Tells what is seen now. */
  look() {
    if (document.hidden || !document.hasFocus()) return;
    const seqs = [...this.#visible]
      .filter((end) => end.isConnected)
      .map((end) => BigInt(end.closest("li").dataset.seq));
    if (seqs.length > 0) this.#seen(seqs.reduce((left, right) => (left > right ? left : right)));
  }

  #moved(entries) {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting) this.#visible.add(target);
      else this.#visible.delete(target);
    }
    this.look();
  }
}
