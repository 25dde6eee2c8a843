// One conversation's messages in their order, each once, without a hole: pure state, no network, no page.
//
// Live messages may come late, twice, or not at all. What follows the cursor is delivered; what lies beyond a hole is
// held until a page of history has filled it. A new epoch is always read from history, because only history knows
// where the old one ended.

import { START, follows, isAfter, positionOf } from "./position.js";

/** Messages held beyond a hole. More are dropped: history has them. */
const MOST_HELD = 200;

/** Messages of which a repetition under another number is recognised. */
const MOST_REMEMBERED = 1024;

/** What has been delivered of a conversation. */
export class Feed {
  #held = new Map();
  #remembered = new Set();
  #doubted = false;
  #scanned = null;

  /** `cursor` is the position of the last message that was delivered before; null if nothing is known. */
  constructor(cursor = null) {
    this.cursor = cursor;
    /** Highest position heard of. */
    this.target = cursor ?? START;
    /** Number of the last message that was delivered; what lies between it and the cursor has no content. */
    this.shown = this.target.seq;
  }

  /** Whether there are, or may be, messages that were not delivered yet. */
  get behind() {
    return this.cursor !== null && (this.#doubted || isAfter(this.target, this.cursor));
  }

  /**
   * The number after which history is to be read: the cursor's, unless a new epoch has begun below it, because more was
   * lost than epochs leave room for. Then it is looked for from the begin.
   */
  get after() {
    const below = this.cursor.epoch > 0n && this.target.epoch > this.cursor.epoch && this.target.seq <= this.cursor.seq;
    return below ? (this.#scanned ?? 0n) : this.cursor.seq;
  }

  /** Sets the cursor where there is none. Returns what can be delivered now. */
  begin(cursor) {
    this.cursor ??= cursor;
    this.shown = this.cursor.seq;
    this.note(this.cursor);
    return this.#advance([]);
  }

  /** Takes note of a position that the conversation has reached. */
  note(position) {
    if (isAfter(position, this.target)) this.target = position;
  }

  /** History may have more than anybody told. */
  doubt() {
    this.#doubted = true;
  }

  /** Takes a message that arrived live or as the answer to a send. Returns what can be delivered now, in order. */
  offer(message) {
    const position = positionOf(message);
    this.note(position);
    if (this.cursor && !isAfter(position, this.cursor)) return [];
    this.#held.set(position.seq, message);
    if (this.#held.size > MOST_HELD) this.#held.delete([...this.#held.keys()].reduce((a, b) => (a > b ? a : b)));
    return this.cursor ? this.#advance([]) : [];
  }

  /**
   * Takes the page of history behind `after`; `asked` is what `target` was when it was asked for. Returns what can be
   * delivered now, in order. If it is `behind` still, there is more to be asked for.
   */
  fill({ messages = [], head, more = false }, asked) {
    const delivered = [];
    for (const message of messages) this.#take(message, delivered);
    this.#scanned = messages.length > 0 ? positionOf(messages.at(-1)).seq : null;
    this.#advance(delivered);
    const last = head ? positionOf(head) : this.cursor;
    this.note(last);
    if (!more) this.#settle(last, asked);
    return delivered;
  }

  /** Goes to a page of history without what lies before it. Returns what can be delivered now, in order. */
  skip({ messages = [], head }) {
    const delivered = [];
    for (const message of messages) this.#take(message, delivered);
    if (messages.length === 0 && head && isAfter(positionOf(head), this.cursor)) this.cursor = positionOf(head);
    return this.#advance(delivered);
  }

  /** There is nothing (any more) that could be asked for. */
  end() {
    this.#doubted = false;
    this.#held.clear();
    this.target = this.cursor ?? START;
  }

  /** Notes messages that were shown otherwise, so that they are not delivered again under another number. */
  saw(messages) {
    for (const message of messages) this.#isFresh(message);
  }

  #take(message, delivered) {
    const position = positionOf(message);
    if (!isAfter(position, this.cursor)) return;
    this.cursor = position;
    this.note(position);
    if (!this.#isFresh(message)) return;
    this.shown = position.seq;
    delivered.push(message);
  }

  #advance(delivered) {
    for (const seq of [...this.#held.keys()].sort((a, b) => (a < b ? -1 : 1))) {
      const message = this.#held.get(seq);
      const position = positionOf(message);
      const late = !isAfter(position, this.cursor);
      if (!late && !follows(position, this.cursor)) break;
      this.#held.delete(seq);
      this.#take(message, delivered);
    }
    return delivered;
  }

  /** History ends here: a position beyond it was lost with its epoch, or is the begin of an epoch without messages. */
  #settle(head, asked) {
    this.#doubted = false;
    const beyond = isAfter(head, this.cursor) && head.epoch === this.cursor.epoch;
    if (beyond || this.target !== asked) return;
    for (const [seq, message] of this.#held) if (positionOf(message).epoch < head.epoch) this.#held.delete(seq);
    if (this.#held.size === 0) this.target = this.cursor;
  }

  /** False for what has no content, and for a repetition: the same sender's same id. */
  #isFresh({ senderId, clientMessageId, tombstone }) {
    if (tombstone) return false;
    if (!clientMessageId) return true;
    const key = `${senderId}/${clientMessageId}`;
    if (this.#remembered.has(key)) return false;
    this.#remembered.add(key);
    if (this.#remembered.size > MOST_REMEMBERED) this.#remembered.delete(this.#remembered.values().next().value);
    return true;
  }
}
