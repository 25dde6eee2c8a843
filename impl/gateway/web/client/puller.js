// Fills feeds from history until nothing is missing.

import { RpcError, backoffMs } from "../gen/im.js";

const PAGE_SIZE = 200;
const PARALLEL = 4;

/** Codes of answers after which there is nothing to be read (any more). */
const NOTHING = new Set(["NOT_FOUND", "PERMISSION_DENIED", "INVALID_ARGUMENT", "UNAUTHENTICATED"]);

/** Reads history for feeds, a few conversations at a time. */
export class Puller {
  #messages;
  #catchUp;
  #told;
  #running = new Map();
  #waiting = [];
  #stopped = false;

  /**
   * `catchUp` is the most that is read of what was missed in a conversation. `told` has `delivered(conversationId,
   * messages)`, `head(head)`, `skipped(conversationId, afterSeq, beforeSeq)` and `gone(conversationId, error)`.
   */
  constructor(messageService, { catchUp, told }) {
    this.#messages = messageService;
    this.#catchUp = catchUp;
    this.#told = told;
  }

  /** Reads what a feed lacks; once for all callers. */
  pull(conversationId, feed) {
    if (!this.#running.has(conversationId)) {
      this.#running.set(
        conversationId,
        this.#inTurn(() => this.#fill(conversationId, feed)),
      );
    }
    return this.#running.get(conversationId);
  }

  /** Ends every attempt. */
  stop() {
    this.#stopped = true;
  }

  async #inTurn(work) {
    if (this.#running.size >= PARALLEL) await new Promise((resolve) => this.#waiting.push(resolve));
    return work();
  }

  async #fill(conversationId, feed) {
    try {
      for (let failures = 0; feed.behind && !this.#stopped;) {
        const progress = await this.#step(conversationId, feed).catch((error) =>
          this.#failed(conversationId, feed, error),
        );
        failures = progress ? 0 : failures + 1;
        if (failures && feed.behind) await pause(backoffMs(failures + 1));
      }
    } finally {
      this.#running.delete(conversationId);
      this.#waiting.shift()?.();
    }
  }

  /** One page; whether it brought the feed nearer to its end. */
  async #step(conversationId, feed) {
    const { cursor, target, after } = feed;
    const skips = target.seq - cursor.seq > this.#catchUp;
    const bounds = skips ? {} : { afterSeq: String(after) };
    const page = await this.#messages.listMessages({ conversationId, pageSize: PAGE_SIZE, ...bounds });
    if (this.#stopped) return true;
    const messages = skips ? feed.skip(page) : feed.fill(page, target);
    if (page.head) this.#told.head(page.head);
    if (skips) this.#told.skipped(conversationId, cursor.seq, BigInt(page.messages?.[0]?.seq ?? feed.cursor.seq));
    this.#told.delivered(conversationId, messages);
    return feed.cursor !== cursor || feed.after !== after;
  }

  #failed(conversationId, feed, error) {
    if (!(error instanceof RpcError)) throw error;
    if (!NOTHING.has(error.code)) return false;
    feed.end();
    if (error.code !== "UNAUTHENTICATED") this.#told.gone(conversationId, error);
    return true;
  }
}

function pause(milliseconds) {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });
}
