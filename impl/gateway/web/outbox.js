// Messages on their way. Each keeps one clientMessageId for ever, so sending it again is harmless.

const PREFIX = "idiom.outbox";

/** Age at which the service may have forgotten a send and has to ask its database. */
const LATE_MS = 45 * 60 * 1000;

/** The messages of one user that the service has not confirmed; they outlive the page. */
export class Outbox {
  #storage;
  #prefix;
  #entries = new Map();

  constructor(storage, userId) {
    this.#storage = storage;
    this.#prefix = `${PREFIX}.${userId}.`;
    for (const entry of this.#read()) this.#entries.set(entry.clientMessageId, entry);
  }

  /** Adds a message. `state` goes from "pending" to "accepted", or to "failed" with a sentence in `error`. */
  add(conversationId, toUserId, text) {
    const clientMessageId = crypto.randomUUID?.() ?? randomId();
    const entry = { clientMessageId, conversationId, toUserId, text, createdAt: Date.now(), state: "pending" };
    this.#entries.set(clientMessageId, entry);
    this.#write(entry);
    return entry;
  }

  /** Entries of a conversation, oldest first. */
  of(conversationId) {
    return [...this.#entries.values()].filter((entry) => entry.conversationId === conversationId);
  }

  /** Conversations with something to be sent. */
  get pending() {
    const waiting = [...this.#entries.values()].filter((entry) => entry.state === "pending");
    return new Set(waiting.map((entry) => entry.conversationId));
  }

  /** The next message of a conversation to be sent; null if there is none. */
  next(conversationId) {
    return this.of(conversationId).find((entry) => entry.state === "pending") ?? null;
  }

  /** The request that sends an entry. */
  request({ clientMessageId, toUserId, text, createdAt }) {
    return { clientMessageId, toUserId, text, resend: Date.now() - createdAt > LATE_MS };
  }

  /** The service has it; it stays visible until the conversation has it too. */
  accept(entry, message) {
    Object.assign(entry, { state: "accepted", createdAt: Date.parse(message.createdAt) || entry.createdAt });
    this.#storage.removeItem(this.#prefix + entry.clientMessageId);
  }

  fail(entry, error) {
    Object.assign(entry, { state: "failed", error });
    this.#write(entry);
  }

  retry(entry) {
    Object.assign(entry, { state: "pending", error: undefined });
    this.#write(entry);
  }

  remove({ clientMessageId }) {
    this.#entries.delete(clientMessageId);
    this.#storage.removeItem(this.#prefix + clientMessageId);
  }

  #write(entry) {
    try {
      this.#storage.setItem(this.#prefix + entry.clientMessageId, JSON.stringify(entry));
    } catch {
      // Storage is full or forbidden: the entry lives as long as the page.
    }
  }

  #read() {
    const keys = Object.keys(this.#storage).filter((key) => key.startsWith(this.#prefix));
    const entries = keys.map((key) => parsed(this.#storage.getItem(key))).filter(Boolean);
    return entries.sort((left, right) => left.createdAt - right.createdAt);
  }
}

/** An entry as it was written; null if something else wrote there. */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** As unique as a UUID; `crypto.randomUUID` is missing where the page is not served securely. */
function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
