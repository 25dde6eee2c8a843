// Messages on their way, until the database has them. Each keeps one clientMessageId for ever, so that sending it
// again is harmless. Pure state and a Storage: no network, no page.

import { OutboxFull } from "./errors.js";
import { isAfter, positionOf } from "./position.js";

const PREFIX = "idiom.outbox";

/** As much as may wait. */
const MOST_ENTRIES = 1000;
const MOST_CHARACTERS = 2_000_000;

/** Age at which the service may have forgotten a send and has to ask its database. */
const LATE_MS = 30 * 60 * 1000;

/**
 * What one user's device has sent and does not know to be in the database; it outlives the page.
 *
 * An entry is `{ clientMessageId, conversationId, target, text, createdAt, state, resend, reason, epoch, seq, tab }`.
 * Its `state` goes from "pending" to "accepted", with epoch and seq, until it is durable and leaves; or to "failed",
 * with the error's `reason`, until somebody retries or discards it.
 */
export class Outbox {
  #storage;
  #prefix;
  #tab;
  #entries = new Map();

  /** `tab` names whoever sends new entries; those of other tabs are left to them until they are adopted. */
  constructor(storage, userId, tab) {
    this.#storage = storage;
    this.#prefix = `${PREFIX}.${userId}.`;
    this.#tab = tab;
    for (const entry of this.#stored()) this.#entries.set(entry.clientMessageId, entry);
  }

  /** All entries, oldest first. */
  get entries() {
    return [...this.#entries.values()];
  }

  /** Entries of a conversation, oldest first. */
  of(conversationId) {
    return this.entries.filter((entry) => entry.conversationId === conversationId);
  }

  /** Adds a message. Throws OutboxFull. */
  add({ clientMessageId, conversationId, target, text }, now = Date.now()) {
    const entries = this.entries;
    const waiting = entries.reduce((sum, entry) => sum + entry.text.length, text.length);
    if (entries.length >= MOST_ENTRIES || waiting > MOST_CHARACTERS) throw new OutboxFull();
    // No two of the same time: it is what they are sorted by when they are read again.
    const createdAt = Math.max(now, 1 + (entries.at(-1)?.createdAt ?? 0));
    return this.#put({ clientMessageId, conversationId, target, text, createdAt, state: "pending", tab: this.#tab });
  }

  /** Conversations in which something is to be sent by this tab. */
  get waiting() {
    return new Set(this.#ours.map((entry) => entry.conversationId));
  }

  /** The next entry of a conversation that this tab is to send; null if there is none. */
  next(conversationId) {
    return this.#ours.find((entry) => entry.conversationId === conversationId) ?? null;
  }

  /** The request that sends an entry. */
  request({ clientMessageId, target, text, createdAt, resend }, now = Date.now()) {
    return { clientMessageId, ...target, text, resend: Boolean(resend) || now - createdAt > LATE_MS };
  }

  /** The service has accepted a message, at the position that it carries. */
  accept({ conversationId, clientMessageId, epoch = "0", seq }) {
    this.entered(conversationId, epoch);
    const entry = this.#entries.get(clientMessageId);
    if (entry) this.#put({ ...entry, state: "accepted", epoch, seq });
  }

  /** Everything of an epoch of a conversation up to a number is in the database. */
  durable({ conversationId, epoch = "0", seq }) {
    const stored = (entry) => BigInt(entry.epoch) === BigInt(epoch) && BigInt(entry.seq) <= BigInt(seq);
    for (const entry of this.#accepted(conversationId).filter(stored)) this.remove(entry);
  }

  /** Takes a head: what it shows to be in the database leaves. Whether something is to be sent again. */
  reached({ conversationId, epoch = "0", durableSeq = "0" }) {
    const again = this.entered(conversationId, epoch);
    this.durable({ conversationId, epoch, seq: durableSeq });
    return again;
  }

  /**
   * A conversation is in an epoch: what was accepted in an earlier one may be lost, and is to be sent again. Whether
   * there is such.
   */
  entered(conversationId, epoch) {
    const old = this.#accepted(conversationId).filter((entry) => BigInt(entry.epoch) < BigInt(epoch));
    for (const entry of old) this.#put({ ...entry, state: "pending", resend: true });
    return old.length > 0;
  }

  /**
   * Takes a head that was asked for after entries had been accepted: what it does not reach was lost, and is to be sent
   * again. Whether there is such.
   */
  missed(entries, head) {
    const beyond = entries.filter((entry) => isAccepted(entry) && isAfter(positionOf(entry), positionOf(head)));
    const lost = beyond.filter((entry) => isAccepted(this.#entries.get(entry.clientMessageId)));
    for (const entry of lost) this.#put({ ...entry, state: "pending", resend: true });
    return lost.length > 0;
  }

  /** The service will never take it as it is. */
  fail(entry, reason) {
    return this.#put({ ...entry, state: "failed", reason });
  }

  /** Sends what failed again, from this tab. */
  retry(entry) {
    return this.#put({ ...entry, state: "pending", reason: undefined, tab: this.#tab });
  }

  remove({ clientMessageId }) {
    this.#entries.delete(clientMessageId);
    this.#storage.removeItem(this.#prefix + clientMessageId);
  }

  /** Tabs other than this one that have something to send. */
  get tabs() {
    const waiting = this.entries.filter((entry) => entry.state === "pending" && entry.tab !== this.#tab);
    return new Set(waiting.map((entry) => entry.tab));
  }

  /** Takes over what another tab had to send. */
  adopt(tab) {
    for (const entry of this.entries) if (entry.tab === tab) this.#put({ ...entry, tab: this.#tab });
  }

  /** Takes note of what another tab wrote under a key, null if it was removed. False if the key is not the outbox's. */
  changed(key, value) {
    if (!key?.startsWith(this.#prefix)) return false;
    const entry = parsed(value);
    if (entry) this.#entries.set(entry.clientMessageId, entry);
    else this.#entries.delete(key.slice(this.#prefix.length));
    return true;
  }

  get #ours() {
    return this.entries.filter((entry) => entry.state === "pending" && entry.tab === this.#tab);
  }

  #accepted(conversationId) {
    return this.of(conversationId).filter(isAccepted);
  }

  #put(entry) {
    this.#entries.set(entry.clientMessageId, entry);
    try {
      this.#storage.setItem(this.#prefix + entry.clientMessageId, JSON.stringify(entry));
    } catch {
      // Storage is full or forbidden: the entry lives as long as the page.
    }
    return entry;
  }

  #stored() {
    const keys = Object.keys(this.#storage).filter((key) => key.startsWith(this.#prefix));
    const entries = keys.map((key) => parsed(this.#storage.getItem(key))).filter(Boolean);
    return entries.sort((left, right) => left.createdAt - right.createdAt);
  }
}

function isAccepted(entry) {
  return entry?.state === "accepted";
}

/** An entry as it was written; null if something else wrote there. */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
