// What is known of a user's conversations, and the feeds that keep it whole.

import { RpcError, backoffMs } from "../gen/im.js";

import * as events from "./events.js";
import { Feed } from "./feed.js";
import { Overview } from "./overview.js";
import { START, inJson, isAfter, positionOf } from "./position.js";
import { Puller } from "./puller.js";

/** A message may overtake the one before it; only a gap that lasts is worth a request. */
const GAP_PATIENCE_MS = 150;

/** As many heads as `welcome` has at most, and as many cursors as `hello` may have. */
const MOST_HEADS = 1000;

/** Conversations of one user, as long as a messenger lives. */
export class Inbox {
  #userId;
  #client;
  #told;
  #feeds = new Map();
  #puller;
  #introduced = new Set();
  #whole = null;
  #catchingUp = false;
  #stopped = false;

  /** By id. */
  conversations = new Map();

  /**
   * `told` has `tell(event)`, `reached(head)`, called for every head, `delivered(message)`, called for every message,
   * `received(conversationId, position)`, called when messages of others have been delivered, and
   * `read(conversationId, seq)`, called when there is nothing to be read up to there.
   */
  constructor({ userId, client, cursors, catchUp, told }) {
    this.#userId = userId;
    this.#client = client;
    this.#told = told;
    this.#puller = new Puller(client.messageService, { catchUp, told: this.#pulled });
    for (const cursor of cursors ?? []) this.#feeds.set(cursor.conversationId, new Feed(positionOf(cursor)));
    // Who has cursors has seen where everything began.
    if (cursors) this.#whole = cursors.length < MOST_HEADS;
  }

  stop() {
    this.#stopped = true;
    this.#puller.stop();
  }

  /** The conversation of an id, new if it was not known. */
  conversation(id) {
    if (!this.conversations.has(id)) this.conversations.set(id, new Overview(id, this.#userId));
    return this.conversations.get(id);
  }

  /** Where every conversation stands, `{ conversationId, epoch, seq }`; null before the first session has begun. */
  get cursors() {
    return this.#whole === null ? null : this.#positions;
  }

  get #positions() {
    const known = [...this.#feeds].filter(([, feed]) => feed.cursor !== null);
    return known.map(([conversationId, { cursor }]) => ({ conversationId, ...inJson(cursor) }));
  }

  /** The cursors of the next hello: of the conversations that go on, the latest if there are too many. */
  get helloCursors() {
    const recency = (id) => Date.parse(this.conversations.get(id)?.lastMessage?.createdAt ?? 0) || 0;
    const stays = this.#positions.filter(({ conversationId: id }) => !this.conversation(id).left);
    stays.sort((left, right) => recency(right.conversationId) - recency(left.conversationId));
    return stays.slice(0, MOST_HEADS);
  }

  /** The highest position of a conversation that was heard of. */
  heardOf(id) {
    return this.#feeds.get(id)?.target ?? START;
  }

  /** A session has begun. */
  welcome(heads) {
    this.#catchingUp = true;
    for (const head of heads) this.reached(head);
    // The first heads are where everything begins; what they do not name, and is found later, began later.
    this.#whole ??= heads.length < MOST_HEADS;
    if (heads.length < MOST_HEADS) this.#checkAbsent(new Set(heads.map((head) => head.conversationId)));
  }

  /** The session has sent what was missed. */
  resumed() {
    this.#catchingUp = false;
    for (const id of this.#feeds.keys()) this.#pull(id);
  }

  /** A conversation has come further than this session may have seen. */
  ahead(head) {
    this.reached(head);
    this.#pullSoon(head.conversationId);
  }

  /** More was missed in a conversation than the session has sent; how much may not be known. */
  incomplete(head) {
    this.reached(head);
    this.#feeds.get(head.conversationId).doubt();
    this.#pullSoon(head.conversationId);
  }

  /** The user has read everything of a conversation up to a number. False if that was known. */
  read(id, seq) {
    const overview = this.conversation(id);
    if (!overview.read(seq)) return false;
    this.#told.tell(new events.ReadMarkMoved(id, seq, overview.unread));
    this.changed(id);
    return true;
  }

  /** Takes note of a head. */
  reached(head) {
    const { conversationId: id } = head;
    const overview = this.conversation(id);
    overview.reached(head);
    if (!this.#feeds.has(id)) this.#open(overview, this.#origin(head));
    this.#feeds.get(id).note(positionOf(head));
    this.#told.reached(head);
    this.changed(id);
  }

  /** A message has arrived live or as the answer to a send. */
  arrived(message) {
    const { conversationId: id } = message;
    if (!this.#feeds.has(id)) this.#feeds.set(id, new Feed(this.#originBefore(message)));
    const feed = this.#feeds.get(id);
    this.#deliver(id, feed.offer(message));
    if (!feed.cursor) void this.#introduce(id);
    this.#pullSoon(id);
  }

  /** Messages have reached a rung, or the user has read on another device. */
  progressed(progress) {
    const { conversationId: id, state, userId, seq } = progress;
    if (state === "READ" && userId === this.#userId) return void this.read(id, BigInt(seq));
    this.conversation(id).progressed(progress);
    this.#told.tell(new events.RungReached(progress));
    return this.changed(id);
  }

  /** Takes a conversation as the service describes it. */
  describe(described) {
    const overview = this.conversation(described.id);
    overview.describe(described);
    this.#introduced.add(described.id);
    if (described.head) this.ahead({ ...described.head, conversationId: described.id });
    return overview;
  }

  /** Takes a page of history that was shown. */
  saw(conversationId, { messages = [], head }) {
    this.#feeds.get(conversationId)?.saw(messages);
    if (head) this.ahead({ ...head, conversationId });
  }

  changed(conversationId) {
    this.#told.tell(new events.ConversationChanged(this.conversation(conversationId)));
  }

  /** What lies before the begin is here with it: in the list, and for whoever opens the conversation. */
  #open(overview, origin) {
    this.#feeds.set(overview.id, new Feed(origin));
    if (overview.peerId && overview.unread > 0 && origin.seq > 0n) this.#told.received(overview.id, origin);
  }

  /** Where a conversation begins of which a head is the first that was heard. */
  #origin(head) {
    if (!this.#whole) return positionOf(head);
    const before = BigInt(head.firstSeq ?? 0) - 1n;
    return before > 0n ? { epoch: 0n, seq: before } : START;
  }

  /** The same where a message is the first; null if it has to be asked for. */
  #originBefore(message) {
    const { epoch, seq } = positionOf(message);
    const came = message.room?.created || message.room?.joined?.userId === this.#userId;
    if (came || !this.#whole) return { epoch, seq: seq - 1n };
    return message.conversationId.startsWith("room.") ? null : START;
  }

  /** Tells of messages that a feed has given out. */
  #deliver(id, messages) {
    const overview = this.conversation(id);
    for (const message of messages) {
      overview.happened(message);
      this.#told.delivered(message);
      this.#told.tell(message.room ? new events.RoomChanged(message) : new events.MessageReceived(message));
    }
    this.#mark(overview, messages);
    if (messages.length === 0) return;
    this.changed(id);
    if (!this.#introduced.has(id)) void this.#introduce(id);
  }

  /** What others have sent has arrived. Numbers without content are read with what lies before them. */
  #mark({ id, peerId, readSeq }, messages) {
    const { cursor, shown } = this.#feeds.get(id);
    const empty = cursor && cursor.seq > shown;
    const others = messages.some(({ senderId }) => senderId !== this.#userId);
    if (peerId && (others || empty)) this.#told.received(id, cursor);
    if (empty && readSeq >= shown && this.read(id, cursor.seq)) this.#told.read(id, cursor.seq);
  }

  #pull(id) {
    const feed = this.#feeds.get(id);
    // What was missed is on its way.
    if (this.#catchingUp || this.#stopped) return;
    if (feed.behind) void this.#puller.pull(id, feed);
  }

  #pullSoon(id) {
    if (this.#feeds.get(id).behind) setTimeout(() => this.#pull(id), GAP_PATIENCE_MS);
  }

  #pulled = {
    delivered: (id, messages) => this.#deliver(id, messages),
    head: (head) => this.reached(head),
    skipped: (id, afterSeq, beforeSeq) => this.#told.tell(new events.HistorySkipped(id, afterSeq, beforeSeq)),
    gone: (id) => {
      this.conversation(id).left = true;
      this.changed(id);
    },
  };

  /** Where a known room is not among all of the user's, the user is no member any more: its last event says why. */
  #checkAbsent(present) {
    for (const [id, feed] of this.#feeds) {
      const { left, roomId } = this.conversation(id);
      if (!roomId || left || present.has(id) || !feed.cursor) continue;
      feed.doubt();
    }
  }

  /** Asks who is in a conversation, and where it begins for the user. */
  async #introduce(id) {
    if (this.#introduced.has(id)) return;
    this.#introduced.add(id);
    for (let failures = 1; !this.#stopped; failures += 1) {
      try {
        const { conversation } = await this.#client.conversationService.getConversation({ conversationId: id });
        return this.#begin(id, conversation);
      } catch (error) {
        if (!(error instanceof RpcError)) throw error;
        if (!error.transient) return this.#begin(id, null);
        await new Promise((resolve) => setTimeout(resolve, backoffMs(failures + 1)));
      }
    }
    return undefined;
  }

  #begin(id, conversation) {
    const feed = this.#feeds.get(id);
    if (conversation) this.describe(conversation);
    const firstSeq = conversation?.head?.firstSeq ?? "1";
    if (!feed.cursor) this.#deliver(id, feed.begin({ epoch: 0n, seq: BigInt(firstSeq) - 1n }));
    this.#pullSoon(id);
  }
}
