// One logged-in user: the socket, the conversations, what is sent and what arrives.

import { RpcError, SessionSocket } from "/gen/im.js";

import { Conversation, privateId } from "./conversation.js";
import { History } from "./history.js";
import { Outbox } from "./outbox.js";
import { sentence } from "./sentences.js";

/** A message may overtake the one before it; only a gap that lasts is worth a request. */
const GAP_PATIENCE_MS = 200;

/** Conversations whose last messages are fetched before anybody opens them. */
const PREVIEWS = 30;

const ACK_PAUSE_MS = 500;
const SEND_PAUSE_MS = 1000;

/** `changed(conversation)` after every change, `connection(state)` when the socket's state changes. */
export class Messenger {
  #client;
  #socket;
  #history;
  #outbox;
  #changed;
  #sending = new Set();
  #acked = new Map();
  #ackTimer = null;

  constructor({ client, account, storage, changed, connection }) {
    this.userId = account.userId;
    /** By id. */
    this.conversations = new Map();
    this.#client = client;
    this.#changed = changed;
    this.#outbox = new Outbox(storage, this.userId);
    this.#history = new History(client.messageService, (conversation) => this.#update(conversation));
    this.#socket = new SessionSocket({
      url: async () => (await client.connectionService.getConnection()).url,
      hello: () => ({ accessToken: account.accessToken }),
    });
    this.#socket.on("welcome", ({ heads = [] }) => this.#welcome(heads));
    this.#socket.on("message", (message) => this.#receive(message));
    this.#socket.onState(connection);
    for (const id of this.#outbox.pending) this.conversation(id);
  }

  start() {
    this.#socket.open();
  }

  stop() {
    this.#history.stop();
    this.#socket.close();
    clearTimeout(this.#ackTimer);
  }

  /** The conversation of an id, new if it was not known. */
  conversation(id) {
    if (!this.conversations.has(id)) this.conversations.set(id, new Conversation(id, this.userId));
    return this.conversations.get(id);
  }

  /** The user of an id. Rejects with an RpcError. */
  async userOf(userId) {
    const { user } = await this.#client.userService.getUser({ userId });
    return user;
  }

  /** The user of a name and the conversation with them. Rejects with an RpcError. */
  async lookup(username) {
    const { user } = await this.#client.userService.lookupUser({ username });
    return { user, conversation: this.conversation(privateId(this.userId, user.id)) };
  }

  /** Makes sure that the last messages of a conversation are there. */
  open(conversation) {
    if (!conversation.position || conversation.behind) void this.#history.pull(conversation);
  }

  /** Fetches older messages. Rejects with an RpcError. */
  older(conversation) {
    return this.#history.older(conversation);
  }

  /** Sends a text: now, or as soon as there is a connection. */
  send(conversation, text) {
    this.#outbox.add(conversation.id, conversation.peerId, text);
    this.#changed(conversation);
    void this.#flush(conversation.id);
  }

  /** Own messages that are not in the conversation yet, oldest first. */
  unsent(conversation) {
    return this.#outbox.of(conversation.id);
  }

  retry(entry) {
    this.#outbox.retry(entry);
    this.#changed(this.conversation(entry.conversationId));
    void this.#flush(entry.conversationId);
  }

  discard(entry) {
    this.#outbox.remove(entry);
    this.#changed(this.conversation(entry.conversationId));
  }

  #welcome(heads) {
    for (const head of heads) this.conversation(head.conversationId).reached(head);
    const recent = new Set(heads.slice(0, PREVIEWS).map((head) => head.conversationId));
    for (const conversation of this.conversations.values()) {
      // Known ones are filled without a hole; of the others the most recent get a preview.
      if (conversation.position ? conversation.behind : recent.has(conversation.id)) this.open(conversation);
      this.#changed(conversation);
    }
    for (const id of this.#outbox.pending) void this.#flush(id);
  }

  #receive(message) {
    const conversation = this.conversation(message.conversationId);
    conversation.receive(message);
    this.#update(conversation);
    if (conversation.behind) setTimeout(() => conversation.behind && this.open(conversation), GAP_PATIENCE_MS);
  }

  /** After every change of a conversation: what it has by now is no longer on its way. */
  #update(conversation) {
    for (const entry of this.#outbox.of(conversation.id)) {
      if (conversation.has(this.userId, entry.clientMessageId)) this.#outbox.remove(entry);
    }
    this.#changed(conversation);
    this.#ackTimer ??= setTimeout(() => this.#acknowledge(), ACK_PAUSE_MS);
  }

  #acknowledge() {
    this.#ackTimer = null;
    for (const { id, position } of this.conversations.values()) {
      if (!position || position.seq === "0" || this.#acked.get(id) === position.seq) continue;
      if (this.#socket.ack({ conversationId: id, ...position })) this.#acked.set(id, position.seq);
    }
  }

  /** Sends what a conversation has waiting, one after the other, so that the order is the one of writing. */
  async #flush(conversationId) {
    if (this.#sending.has(conversationId)) return;
    this.#sending.add(conversationId);
    try {
      for (let entry = null; this.#socket.state === "open" && (entry = this.#outbox.next(conversationId)); ) {
        await this.#deliver(entry);
      }
    } finally {
      this.#sending.delete(conversationId);
    }
  }

  async #deliver(entry) {
    try {
      const { message } = await this.#socket.send(this.#outbox.request(entry));
      this.#outbox.accept(entry, message);
      this.#receive(message);
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      // Without a connection the next welcome goes on; otherwise the same message goes out again, under the same id.
      if (error.transient) return this.#socket.state === "open" ? pause(error.retryAfterMs ?? SEND_PAUSE_MS) : undefined;
      this.#outbox.fail(entry, sentence(error));
      this.#changed(this.conversation(entry.conversationId));
    }
    return undefined;
  }
}

function pause(milliseconds) {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });
}
