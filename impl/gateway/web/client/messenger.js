// One logged-in user on one device: the session, the conversations, what is sent and what arrives.

import { RpcError, SessionSocket } from "../gen/im.js";

import { randomId } from "./account.js";
import { LoginEnded, SessionRefused } from "./errors.js";
import { ConnectionChanged, SendFailed } from "./events.js";
import { Inbox } from "./inbox.js";
import { Marks } from "./marks.js";
import { Outbox } from "./outbox.js";
import { privateId, targetOf } from "./overview.js";
import { Sender } from "./sender.js";
import { deviceStorage } from "./storage.js";
import { Tabs } from "./tabs.js";

/** How long a server may take to send what was missed, before it is asked for. */
const RESUME_PATIENCE_MS = 15_000;

/** How long after being sent an accepted message is asked about that is not known to be in the database. */
const DURABLE_PATIENCE_MS = 5_000;

/** The messages of one user. What happens is told by events (events.js); docs/clients.md has the semantics. */
export class Messenger extends EventTarget {
  #account;
  #inbox;
  #socket;
  #outbox;
  #sender;
  #marks;
  #tabs;
  #token = null;
  #renewing = false;
  #sweep = null;
  #resuming = null;
  #ended = new AbortController();

  /** "closed", "connecting", "catching up", "live" or "waiting". */
  state = "closed";

  /**
   * `account` is logged in. `cursors` says where conversations go on, and is what `cursors` was before; without
   * it conversations begin where they are when the first session begins. `catchUp` is the most that is read of what
   * was missed in a conversation: if it is more, the event "skipped" tells of it, and the newest messages follow.
   */
  constructor({ account, storage = deviceStorage(), cursors = null, catchUp = Infinity, WebSocket }) {
    super();
    this.userId = account.userId;
    this.client = account.client;
    this.#account = account;
    const tab = randomId();
    this.#outbox = new Outbox(storage, this.userId, tab);
    this.#tabs = new Tabs(tab, (gone) => this.#adopt(gone));
    this.#inbox = new Inbox({ userId: this.userId, client: this.client, cursors, catchUp, told: this.#heard });
    this.#socket = this.#session(WebSocket);
    this.#sender = new Sender(this.#outbox, this.#socket, this.#sent);
    this.#marks = new Marks(this.#socket, this.#marked);
    for (const entry of this.#outbox.entries) this.conversation(entry.conversationId);
  }

  /** Opens the session and keeps it open until `stop`, or until the login or the service ends it. */
  start() {
    const { signal } = this.#ended;
    this.#tabs.enter();
    this.#tabs.watch(this.#outbox.tabs);
    globalThis.addEventListener?.("storage", ({ key, newValue }) => this.#stored(key, newValue), { signal });
    this.#account.addEventListener("ended", ({ error }) => this.#end(error), { signal });
    this.#sweep = setInterval(() => void this.#askForDurable(), DURABLE_PATIENCE_MS);
    this.#socket.open();
  }

  /** Ends the session for good. What waits to be sent is sent by the next messenger of the user. */
  stop() {
    this.#end(null);
  }

  /** Conversations by id. */
  get conversations() {
    return this.#inbox.conversations;
  }

  /**
   * Where every conversation stands, for the messenger of a later time: `{ conversationId, epoch, seq }`. Null before
   * the first session has begun.
   */
  get cursors() {
    return this.#inbox.cursors;
  }

  /** The conversation of an id, new if it was not known. */
  conversation(id) {
    return this.#inbox.conversation(id);
  }

  /** The private conversation with a user. */
  conversationWith(user) {
    const overview = this.conversation(privateId(this.userId, user.id));
    overview.user = user;
    return overview;
  }

  /** A page of conversations, the latest first: `{ conversations, nextPageToken }`. Rejects with an RpcError. */
  async list({ pageSize = 50, pageToken = "" } = {}) {
    const page = await this.client.conversationService.listConversations({ pageSize, pageToken });
    const conversations = (page.conversations ?? []).map((described) => this.#inbox.describe(described));
    return { conversations, nextPageToken: page.nextPageToken ?? "" };
  }

  /** Asks for one conversation. Rejects with an RpcError. */
  async look(conversationId) {
    const { conversation } = await this.client.conversationService.getConversation({ conversationId });
    return this.#inbox.describe(conversation);
  }

  /** A page of messages: before or after a number, else the newest. Rejects with an RpcError. */
  async history(conversationId, { beforeSeq, afterSeq, pageSize = 50 } = {}) {
    const page = await this.client.messageService.listMessages({ conversationId, beforeSeq, afterSeq, pageSize });
    this.#inbox.saw(conversationId, page);
    return { messages: page.messages ?? [], head: page.head ?? null, more: page.more ?? false };
  }

  /** Sends a text: now, or as soon as there is a connection. Returns the outbox's entry. Throws OutboxFull. */
  send(conversationId, text) {
    const target = targetOf(conversationId, this.userId);
    const entry = this.#outbox.add({ clientMessageId: randomId(), conversationId, target, text });
    this.#inbox.changed(conversationId);
    this.#sender.wake();
    return entry;
  }

  /** Own messages of a conversation that are not known to be in the database, oldest first. */
  unsent(conversationId) {
    return this.#outbox.of(conversationId);
  }

  /** Sends what failed again. */
  retry(entry) {
    this.#outbox.retry(entry);
    this.#inbox.changed(entry.conversationId);
    this.#sender.wake();
  }

  /** Gives up what failed. */
  discard(entry) {
    this.#outbox.remove(entry);
    this.#inbox.changed(entry.conversationId);
  }

  /** The user has read everything of a conversation up to a number. */
  markRead(conversationId, seq) {
    if (this.#inbox.read(conversationId, BigInt(seq))) this.#marks.read(conversationId, BigInt(seq));
  }

  #session(WebSocket) {
    const socket = new SessionSocket({
      url: async () => (await this.client.connectionService.getConnection()).url,
      hello: () => this.#hello(),
      authenticate: () => this.#account.renew(this.#token),
      ...(WebSocket && { WebSocket }),
    });
    socket.on("welcome", ({ heads = [] }) => this.#welcome(heads));
    socket.on("message", (message) => this.#inbox.arrived(message));
    socket.on("progress", (progress) => this.#progressed(progress));
    socket.on("heads", ({ heads = [] }) => heads.forEach((head) => this.#inbox.ahead(head)));
    socket.on("incomplete", ({ head }) => this.#inbox.incomplete(head));
    socket.on("resumed", () => this.#resumed());
    socket.onState((now) => this.#connection(now));
    return socket;
  }

  async #hello() {
    this.#token = await this.#account.token();
    return { accessToken: this.#token, cursors: this.#inbox.helloCursors };
  }

  #welcome(heads) {
    this.#inbox.welcome(heads);
    clearTimeout(this.#resuming);
    this.#resuming = setTimeout(() => this.#resumed(), RESUME_PATIENCE_MS);
    this.#sender.resume();
    this.#marks.resume();
  }

  #resumed() {
    clearTimeout(this.#resuming);
    this.#inbox.resumed();
    if (this.state === "catching up") this.#become("live");
  }

  #progressed(progress) {
    const { conversationId, state } = progress;
    const seq = BigInt(progress.seq ?? 0);
    const heardOf = this.#inbox.heardOf(conversationId);
    // A number that nobody has heard of may be one of a later epoch, which proves nothing of this one.
    if (state === "DURABLE" && seq <= heardOf.seq) this.#outbox.durable({ ...heardOf, conversationId, seq });
    this.#inbox.progressed(progress);
  }

  #connection({ state, close, retryMs, error }) {
    if (state !== "closed") return this.#become(state === "open" ? "catching up" : state, { retryMs, error });
    if (close.name === "CLOSED") return undefined;
    const ended = close.reconnect === "AUTHENTICATE";
    return this.#end(ended ? new LoginEnded(error?.reason) : new SessionRefused(close.name, error?.message));
  }

  #become(state, details) {
    this.state = state;
    this.dispatchEvent(new ConnectionChanged(state, details));
  }

  #end(error) {
    if (this.#ended.signal.aborted) return;
    this.#ended.abort();
    clearInterval(this.#sweep);
    clearTimeout(this.#resuming);
    this.#tabs.leave();
    this.#inbox.stop();
    this.#marks.stop();
    this.#socket.close();
    this.#become("closed", { error });
  }

  /** What the inbox tells. */
  #heard = {
    tell: (event) => this.dispatchEvent(event),
    reached: (head) => this.#outbox.reached(head) && this.#sender.wake(),
    delivered: (message) => this.#noted(message),
    received: (conversationId, position) => this.#marks.received(conversationId, position),
    read: (conversationId, seq) => this.#marks.read(conversationId, seq),
  };

  /** What the sender tells. */
  #sent = {
    accepted: (message, rung) => {
      this.#outbox.accept(message);
      if (rung === "DURABLE") this.#outbox.durable(message);
      this.#inbox.arrived(message);
    },
    failed: (entry, error) => {
      const failed = this.#outbox.fail(entry, error.reason || error.code);
      this.dispatchEvent(new SendFailed(failed, error));
      this.#inbox.changed(entry.conversationId);
    },
    refused: () => void this.#renew(),
  };

  /** What the marks tell. */
  #marked = {
    marked: (conversationId, readSeq) => this.#inbox.read(conversationId, readSeq),
    refused: () => void this.#renew(),
  };

  /** An own message in the feed was accepted, even if the answer to its send was lost. */
  #noted(message) {
    if (this.#outbox.entered(message.conversationId, message.epoch ?? "0")) this.#sender.wake();
    if (message.senderId === this.userId && message.clientMessageId) this.#outbox.accept(message);
  }

  /** A call on the socket was refused for its token: another token needs another hello. */
  async #renew() {
    if (this.#renewing) return;
    this.#renewing = true;
    try {
      if (await this.#account.renew(this.#token)) this.#socket.renew();
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
    } finally {
      this.#renewing = false;
    }
  }

  /** Word of progress may be lost, and so may the message: a head tells. */
  async #askForDurable() {
    const late = (entry) => entry.state === "accepted" && Date.now() - entry.createdAt > DURABLE_PATIENCE_MS;
    const entries = this.#outbox.entries.filter(late);
    for (const id of new Set(entries.map((entry) => entry.conversationId))) {
      if (this.state !== "live") return;
      const asked = entries.filter((entry) => entry.conversationId === id);
      await this.#ask(id, asked).catch(ignoreRefusal);
    }
  }

  async #ask(conversationId, entries) {
    const { conversation } = await this.client.conversationService.getConversation({ conversationId });
    this.#inbox.describe(conversation);
    if (this.#outbox.missed(entries, conversation.head ?? {})) this.#sender.wake();
  }

  /** Sends what another tab can send no more. */
  #adopt(tab) {
    this.#outbox.adopt(tab);
    this.#sender.wake();
  }

  /** Another tab has written to the storage. */
  #stored(key, value) {
    if (!this.#outbox.changed(key, value)) return;
    this.#tabs.watch(this.#outbox.tabs);
    const entry = this.#outbox.entries.find(({ clientMessageId }) => key.endsWith(clientMessageId));
    if (entry) this.#inbox.changed(entry.conversationId);
  }
}

function ignoreRefusal(error) {
  if (!(error instanceof RpcError)) throw error;
}
