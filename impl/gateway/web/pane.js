// The conversation that is open.

import { RpcError } from "/client/index.js";

import { attempt } from "./attempt.js";
import { Composer } from "./composer.js";
import { element, paintAvatar, setText } from "./dom.js";
import { Reading } from "./reading.js";
import { roomLine } from "./room_lines.js";
import { Scrolling } from "./scrolling.js";
import { sentence, whyNotSent } from "./sentences.js";
import { Timeline } from "./timeline.js";
import { paintTimeline } from "./timeline_view.js";

const PAGE_SIZE = 50;
const RETRY_MS = 3000;

/** Shows one conversation of a messenger after the other. */
export class Pane {
  #messenger;
  #people;
  #nameOf;
  #conversation = null;
  #timeline = new Timeline();
  #unreadFrom = null;
  #placed = false;
  #fetching = false;
  #composer;
  #reading;
  #scrolling;

  /** `nameOf(overview)` gives the name of a conversation. */
  constructor({ messenger, people, nameOf, repaint }) {
    this.#messenger = messenger;
    this.#people = people;
    this.#nameOf = nameOf;
    this.#composer = new Composer((text) => this.#send(text));
    this.#reading = new Reading(element("scroll"), (seq) => this.#seen(seq));
    this.#scrolling = new Scrolling(element("scroll"), element("messages"), (edge) => void this.#fetch(edge));
    element("older").onclick = () => void this.#fetch("start");
    element("newer").onclick = () => void this.#fetch("end");
    element("latest").onclick = () => void this.#latest();
    element("scroll").addEventListener("scroll", () => this.#scrolling.follow && repaint(), { passive: true });
  }

  /** The conversation that is open; null if none is. */
  get conversation() {
    return this.#conversation;
  }

  /** Opens a conversation, or none. */
  show(conversation) {
    this.#conversation = conversation;
    this.#unreadFrom = null;
    element("pane").hidden = !conversation;
    element("messages").replaceChildren();
    element("latest").hidden = true;
    setText(element("pane-error"), "");
    if (!conversation) return;
    if (conversation.unread > 0) this.#unreadFrom = readUpTo(conversation);
    this.#composer.open(conversation.id);
    void this.#load();
    this.paint();
  }

  /** A message of any conversation has arrived, in order. */
  arrived(message) {
    if (message.conversationId !== this.#conversation?.id) return;
    const { follow } = this.#scrolling;
    const shown = this.#timeline.arrive(message);
    const mine = message.senderId === this.#messenger.userId;
    if (this.#timeline.loaded && (!shown || !follow) && !mine) element("latest").hidden = false;
    if (!mine) this.#announce(message);
  }

  /** Messages of a conversation were not told: what is shown is not the end of it any more. */
  skipped(conversationId) {
    if (conversationId === this.#conversation?.id) void this.#load();
  }

  paint() {
    if (!this.#conversation) return;
    this.#paintHeader();
    const { older, newer, loaded, messages } = this.#timeline;
    const items = this.#items();
    const actions = this.#messenger;
    this.#scrolling.keeping(() => paintTimeline(element("messages"), items, this.#unreadFrom, actions));
    element("older").hidden = !older;
    element("newer").hidden = !newer;
    element("no-messages").hidden = items.length > 0 || !loaded;
    if (newer) element("latest").hidden = false;
    else if (this.#scrolling.follow) element("latest").hidden = true;
    this.#reading.watch(element("messages").children);
    if (loaded && !this.#placed) this.#place(messages);
  }

  /** Where somebody begins to read: at what is new to them, else at the end. */
  #place() {
    this.#placed = true;
    const begin = element("messages").querySelector(".unread-from");
    if (begin) this.#scrolling.to(begin);
    else this.#scrolling.toEnd();
  }

  #paintHeader() {
    const conversation = this.#conversation;
    const name = this.#nameOf(conversation);
    setText(element("pane-title"), name);
    setText(element("pane-about"), about(conversation));
    paintAvatar(element("pane-avatar"), name, conversation.roomId ?? conversation.peerId, Boolean(conversation.roomId));
    element("send-form").hidden = conversation.left;
    element("no-writing").hidden = !conversation.left;
  }

  #items() {
    const said = this.#timeline.messages.map((message) =>
      message.room ? this.#line(message) : this.#message(message),
    );
    if (this.#timeline.newer) return said;
    const shown = new Set(said.map((item) => item.key));
    const waiting = this.#messenger.unsent(this.#conversation.id).map((entry) => this.#waiting(entry));
    return [...said, ...waiting.filter((item) => !shown.has(item.key))];
  }

  #message(message) {
    const mine = message.senderId === this.#messenger.userId;
    return {
      key: `${message.senderId}/${message.clientMessageId || message.seq}`,
      kind: "message",
      seq: message.seq,
      mine,
      isRoom: Boolean(this.#conversation.roomId),
      author: mine ? "You" : this.#people.nameOf(message.senderId),
      authorId: message.senderId,
      text: message.text ?? "",
      lost: message.tombstone,
      time: Date.parse(message.createdAt) || Date.now(),
      mark: mine ? this.#conversation.rungOf(message) : "",
    };
  }

  #line(message) {
    const name = (id) => (id === this.#messenger.userId ? "You" : this.#people.nameOf(id));
    const time = Date.parse(message.createdAt) || Date.now();
    return { key: `line ${message.seq}`, kind: "line", seq: message.seq, time, text: roomLine(message, name) };
  }

  #waiting(entry) {
    return {
      key: `${this.#messenger.userId}/${entry.clientMessageId}`,
      kind: "message",
      mine: true,
      isRoom: Boolean(this.#conversation.roomId),
      author: "You",
      authorId: this.#messenger.userId,
      text: entry.text,
      time: entry.createdAt,
      mark: entry.state === "accepted" ? "ACCEPTED" : entry.state,
      error: entry.state === "failed" ? whyNotSent(entry.reason) : "",
      entry,
    };
  }

  #announce(message) {
    const { senderId, text } = message;
    const name = (id) => this.#people.nameOf(id);
    setText(element("announcer"), message.room ? roomLine(message, name) : `${name(senderId)}: ${text}`);
  }

  #send(text) {
    if (this.#timeline.newer) void this.#latest();
    this.#scrolling.follow = true;
    this.#unreadFrom = null;
    attempt("pane-error", () => this.#messenger.send(this.#conversation.id, text));
  }

  #seen(seq) {
    if (!this.#conversation || this.#conversation.left) return;
    const { messages, newer, end } = this.#timeline;
    // Behind the last message there may be numbers that have nothing to be seen.
    const all = !newer && seq >= BigInt(messages.at(-1)?.seq ?? 0);
    this.#messenger.markRead(this.#conversation.id, all ? end : seq);
  }

  /** Shows the newest messages, as soon as they can be had. */
  async #load() {
    const conversation = this.#conversation;
    const timeline = new Timeline();
    this.#timeline = timeline;
    this.#placed = false;
    try {
      timeline.load(await this.#messenger.history(conversation.id, { pageSize: PAGE_SIZE }));
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      if (timeline !== this.#timeline) return;
      if (error.transient) setTimeout(() => timeline === this.#timeline && void this.#load(), RETRY_MS);
      // A conversation that nobody has begun has no history.
      else timeline.load({ messages: [], more: false });
      if (error.code !== "NOT_FOUND") setText(element("pane-error"), sentence(error));
    }
    if (timeline !== this.#timeline) return;
    if (timeline.loaded) setText(element("pane-error"), "");
    this.paint();
  }

  /** Shows another page at an edge of what is shown. */
  async #fetch(edge) {
    const timeline = this.#timeline;
    const [wanted, take] = edge === "start" ? [timeline.older, "prepend"] : [timeline.newer, "append"];
    if (!wanted || this.#fetching || timeline.messages.length === 0) return;
    const { seq } = timeline.messages.at(edge === "start" ? 0 : -1);
    const bounds = edge === "start" ? { beforeSeq: seq } : { afterSeq: seq };
    this.#fetching = true;
    if (edge === "start") this.#scrolling.follow = false;
    await attempt("pane-error", async () => {
      const page = await this.#messenger.history(this.#conversation.id, { ...bounds, pageSize: PAGE_SIZE });
      if (timeline === this.#timeline) timeline[take](page);
    });
    this.#fetching = false;
    if (timeline === this.#timeline) this.paint();
  }

  async #latest() {
    this.#unreadFrom = null;
    if (this.#timeline.newer) await this.#load();
    this.#scrolling.toEnd();
    this.paint();
  }
}

/** Up to where nothing is unread. */
function readUpTo({ readSeq, firstSeq }) {
  return readSeq >= firstSeq ? readSeq : firstSeq - 1n;
}

/** What stands below the name of a conversation. */
function about({ room, user, peerId }) {
  if (peerId) return user?.displayName ? `@${user.username}` : (user?.about ?? "");
  if (!room) return "";
  const count = Number(room.memberCount ?? 0);
  const members = `${count.toLocaleString()} ${count === 1 ? "member" : "members"}`;
  return room.description ? `${members} · ${room.description}` : members;
}
