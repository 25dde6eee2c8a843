// Tells the service how far this device has received and its user has read, a few times a second at most.

import { RpcError } from "../gen/im.js";

import { inJson } from "./position.js";

const PAUSE_MS = 300;
const RETRY_MS = 2000;

/** Marks of one session after the other. */
export class Marks {
  #socket;
  #told;
  #received = new Map();
  #read = new Map();
  #timer = null;

  /**
   * `told` has `marked(conversationId, readSeq)`, called when the service has noted it, and `refused()`, called when
   * the session's token does not do any more.
   */
  constructor(socket, told) {
    this.#socket = socket;
    this.#told = told;
  }

  /** Everything of a conversation up to a position has arrived. */
  received(conversationId, position) {
    this.#received.set(conversationId, position);
    this.#later(PAUSE_MS);
  }

  /** Everything of a conversation up to a number was read. */
  read(conversationId, seq) {
    this.#read.set(conversationId, seq);
    this.#later(PAUSE_MS);
  }

  /** Says what could not be said before. */
  resume() {
    if (this.#received.size || this.#read.size) this.#later(PAUSE_MS);
  }

  stop() {
    clearTimeout(this.#timer);
  }

  #later(milliseconds) {
    this.#timer ??= setTimeout(() => this.#say(), milliseconds);
  }

  #say() {
    this.#timer = null;
    if (this.#socket.state !== "open") return;
    const [received, read] = [this.#received, this.#read];
    [this.#received, this.#read] = [new Map(), new Map()];
    for (const [conversationId, position] of received) this.#socket.ack({ conversationId, ...inJson(position) });
    for (const [conversationId, seq] of read) void this.#mark(conversationId, seq);
  }

  async #mark(conversationId, seq) {
    try {
      const { readSeq } = await this.#socket.read({ conversationId, seq: String(seq) });
      this.#told.marked(conversationId, BigInt(readSeq ?? 0));
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      if (error.code === "UNAUTHENTICATED") this.#told.refused();
      else if (!error.transient) return;
      // Later, unless more was read by then.
      if (!this.#read.has(conversationId)) this.#read.set(conversationId, seq);
      this.#later(RETRY_MS);
    }
  }
}
