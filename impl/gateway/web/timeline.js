// The part of a conversation that is shown: contiguous, of bounded length, pure state.

const MOST = 400;

/** Messages from somewhere to somewhere else; `older` and `newer` say whether there are more at either end. */
export class Timeline {
  #most;
  #early = [];

  messages = [];
  older = false;
  newer = false;
  /** Whether the first page has come. */
  loaded = false;
  /** Number of the last message that is known, shown or not. */
  end = 0n;

  constructor(most = MOST) {
    this.#most = most;
  }

  /** Takes the newest page. */
  load({ messages, more }) {
    this.messages = messages.filter(hasContent);
    this.#reach(messages);
    this.older = more;
    this.newer = false;
    this.loaded = true;
    const early = this.#early;
    this.#early = [];
    for (const message of early) this.arrive(message);
  }

  /** Takes the page before the first message. */
  prepend({ messages, more }) {
    const first = this.messages[0];
    const fresh = messages.filter((message) => hasContent(message) && (!first || isBefore(message, first)));
    this.messages = [...fresh, ...this.messages];
    this.older = more;
    if (this.messages.length <= this.#most) return;
    this.messages.length = this.#most;
    this.newer = true;
  }

  /** Takes the page after the last message. */
  append({ messages, more }) {
    this.#reach(messages);
    const last = this.messages.at(-1);
    this.messages.push(...messages.filter((message) => hasContent(message) && (!last || isBefore(last, message))));
    this.newer = more;
    this.#trim();
  }

  /** Takes the next message of the conversation. Whether it is shown now. */
  arrive(message) {
    if (!this.loaded) this.#early.push(message);
    else this.#reach([message]);
    const last = this.messages.at(-1);
    if (!this.loaded || this.newer || !hasContent(message) || (last && !isBefore(last, message))) return false;
    this.messages.push(message);
    this.#trim();
    return true;
  }

  #reach(messages) {
    for (const { seq } of messages) if (BigInt(seq) > this.end) this.end = BigInt(seq);
  }

  #trim() {
    const surplus = this.messages.length - this.#most;
    if (surplus <= 0) return;
    this.messages.splice(0, surplus);
    this.older = true;
  }
}

function isBefore(left, right) {
  return BigInt(left.seq) < BigInt(right.seq);
}

/** False for the tombstone of a late repetition, of which nobody needs to know. */
function hasContent({ tombstone }) {
  return BigInt(tombstone?.duplicateOf ?? 0) === 0n;
}
