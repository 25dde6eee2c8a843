// Where somebody reads: at the end, which is followed, or somewhere above it, which stays where it is.

/** How near to the end somebody reads for new messages to be followed. */
const NEAR_END_PX = 80;

/** How near to an end of what is shown the next page is fetched. */
const NEAR_EDGE_PX = 300;

/** The scrolling part of the page. */
export class Scrolling {
  #scroll;
  #list;

  /** Whether the end is followed. */
  follow = true;

  /** `reached(edge)` is called when what is read is near to the "start" or the "end" of what is shown. */
  constructor(scroll, list, reached) {
    this.#scroll = scroll;
    this.#list = list;
    scroll.addEventListener("scroll", () => this.#scrolled(reached), { passive: true });
    // What grows below the last line pushes it out of sight: the composer, a keyboard, an image of a name.
    new ResizeObserver(() => this.follow && this.toEnd()).observe(scroll);
  }

  /** Changes the list without moving what is being read. */
  keeping(change) {
    const top = this.#scroll.getBoundingClientRect().top;
    // Days and other marks go and come with what is painted below them.
    const visible = (child) => child.dataset.seq && child.getBoundingClientRect().bottom > top;
    const anchor = [...this.#list.children].find(visible);
    const before = anchor?.getBoundingClientRect().top;
    change();
    if (this.follow) this.toEnd();
    else if (anchor?.isConnected) this.#scroll.scrollTop += anchor.getBoundingClientRect().top - before;
  }

  toEnd() {
    this.follow = true;
    this.#scroll.scrollTop = this.#scroll.scrollHeight;
  }

  /** Brings an item near to the top, if there is that much below it. */
  to(item) {
    this.#scroll.scrollTop += item.getBoundingClientRect().top - this.#scroll.getBoundingClientRect().top - NEAR_END_PX;
    this.follow = this.#toEnd < NEAR_END_PX;
  }

  get #toEnd() {
    return this.#scroll.scrollHeight - this.#scroll.scrollTop - this.#scroll.clientHeight;
  }

  #scrolled(reached) {
    this.follow = this.#toEnd < NEAR_END_PX;
    if (this.#scroll.scrollTop < NEAR_EDGE_PX) reached("start");
    if (this.#toEnd < NEAR_EDGE_PX) reached("end");
  }
}
