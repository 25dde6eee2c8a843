// Sends what the outbox holds: of each conversation one message after the other, again and again until it is accepted.

import { RpcError, backoffMs } from "../gen/im.js";

/** Sends for one session after the other. */
export class Sender {
  #outbox;
  #socket;
  #told;
  #running = new Set();
  #pauses = new Set();

  /**
   * `told` has `accepted(message, rung)`, `failed(entry, error)` and `refused()`, called when the session's token does
   * not do any more.
   */
  constructor(outbox, socket, told) {
    this.#outbox = outbox;
    this.#socket = socket;
    this.#told = told;
  }

  /** There is a new session: nobody waits any longer. */
  resume() {
    for (const end of this.#pauses) end();
    this.wake();
  }

  /** Sends what waits, as long as there is a session. */
  wake() {
    for (const conversationId of this.#outbox.waiting) void this.#run(conversationId);
  }

  async #run(conversationId) {
    if (this.#running.has(conversationId)) return;
    this.#running.add(conversationId);
    try {
      let failures = 0;
      for (let entry; this.#socket.state === "open" && (entry = this.#outbox.next(conversationId));) {
        const pauseMs = await this.#send(entry, failures + 1);
        failures = pauseMs === null ? 0 : failures + 1;
        if (pauseMs && this.#socket.state === "open") await this.#pause(pauseMs);
      }
    } finally {
      this.#running.delete(conversationId);
    }
  }

  /** Milliseconds to wait before the next attempt; null if the entry is settled. */
  async #send(entry, failures) {
    try {
      const { message, state } = await this.#socket.send(this.#outbox.request(entry));
      this.#told.accepted(message, state);
      return null;
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      const refused = error.code === "UNAUTHENTICATED";
      if (refused) this.#told.refused();
      if (refused || error.transient) return error.retryAfterMs ?? backoffMs(failures);
      this.#told.failed(entry, error);
      return null;
    }
  }

  #pause(milliseconds) {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#pauses.delete(end);
        resolve();
      };
      const timer = setTimeout(end, milliseconds);
      this.#pauses.add(end);
    });
  }
}
