// Fills conversations from HTTP history until nothing is missing.

import { RpcError } from "/gen/im.js";

const PAGE_SIZE = 100;
const PARALLEL = 4;
const FIRST_PAUSE_MS = 300;
const LONGEST_PAUSE_MS = 5000;

/** Reasons for which there is no history at all. */
const NOTHING = new Set(["NOT_FOUND", "PERMISSION_DENIED"]);

/** Reads history. `changed(conversation)` is called after every page. */
export class History {
  #messages;
  #changed;
  #running = new Map();
  #waiting = [];
  #stopped = false;

  constructor(messageService, changed) {
    this.#messages = messageService;
    this.#changed = changed;
  }

  /** Fetches what a conversation lacks; at once for all callers, a few conversations at a time. */
  pull(conversation) {
    if (!this.#running.has(conversation.id)) {
      this.#running.set(conversation.id, this.#inTurn(() => this.#fill(conversation)));
    }
    return this.#running.get(conversation.id);
  }

  /** Fetches the page before the first message known. Rejects with an RpcError. */
  async older(conversation) {
    const beforeSeq = conversation.messages[0]?.seq;
    conversation.prepend(await this.#page(conversation, { beforeSeq }));
    this.#changed(conversation);
  }

  /** Ends every attempt. */
  stop() {
    this.#stopped = true;
  }

  async #inTurn(work) {
    if (this.#running.size >= PARALLEL) await new Promise((resolve) => this.#waiting.push(resolve));
    return work();
  }

  async #fill(conversation) {
    try {
      for (let failures = 0; !this.#stopped; ) {
        const complete = await this.#step(conversation).catch((error) => this.#failed(conversation, error));
        if (complete) return;
        failures = complete === null ? failures + 1 : 0;
        if (failures) await pause(failures);
      }
    } finally {
      this.#running.delete(conversation.id);
      this.#waiting.shift()?.();
    }
  }

  /** One page: true when nothing is missing any more, false when there is more to read, null to try again later. */
  async #step(conversation) {
    const before = conversation.position;
    const page = await this.#page(conversation, before ? { afterSeq: before.seq } : {});
    conversation.fill(page);
    if (!before && !conversation.position) conversation.begin();
    const progress = conversation.position?.seq !== before?.seq;
    if (!progress && !page.more) conversation.settle(page.head);
    this.#changed(conversation);
    if (!conversation.behind) return true;
    return progress ? false : null;
  }

  #failed(conversation, error) {
    if (!(error instanceof RpcError)) throw error;
    if (!NOTHING.has(error.code)) return error.code === "UNAUTHENTICATED" ? true : null;
    conversation.begin();
    this.#changed(conversation);
    return true;
  }

  #page(conversation, bounds) {
    return this.#messages.listMessages({ conversationId: conversation.id, pageSize: PAGE_SIZE, ...bounds });
  }
}

/** Waits longer with every failure, and never as long as others who failed at the same moment. */
function pause(failures) {
  const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures);
  return new Promise((resolve) => {
    setTimeout(resolve, longest * (0.5 + Math.random() / 2));
  });
}
