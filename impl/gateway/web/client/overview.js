// A conversation as the user sees it in a list: how far it has come, how far its members have come, and who they are.
// Pure state: it follows from heads, messages, marks and progress, in whatever order these arrive.

import { START, highest, isAfter, positionOf } from "./position.js";

const RUNGS = Object.freeze({ ACCEPTED: "ACCEPTED", DURABLE: "DURABLE", DELIVERED: "DELIVERED", READ: "READ" });

/** What somebody is in a room in which they are no member. */
const NO_ROLE = "ROLE_UNSPECIFIED";

/** One conversation of the user `me`. */
export class Overview {
  #me;

  constructor(id, me) {
    this.#me = me;
    /** `dm.<lower user id>.<higher user id>` or `room.<room id>`. */
    this.id = id;
    /** Id of the other user of a private conversation, or of oneself; null in a room. */
    this.peerId = peerOf(id, me);
    /** Id of the room; null in a private conversation. */
    this.roomId = id.startsWith("room.") ? id.slice("room.".length) : null;
    /** The other user, once known. */
    this.user = null;
    /** The room, once known. */
    this.room = null;
    /** The last message or change of the room, once known. */
    this.lastMessage = null;
    /** Highest position heard of. */
    this.position = START;
    /** Lowest number that the user may read. */
    this.firstSeq = 1n;
    /** Up to here everything is in the database. */
    this.durableSeq = 0n;
    /** Up to here the user has read. */
    this.readSeq = 0n;
    /** Up to here a device of the other user has received; private conversations only. */
    this.peerDeliveredSeq = 0n;
    /** Up to here the other user has read; private conversations only. */
    this.peerReadSeq = 0n;
    /** Whether the user is no member any more. */
    this.left = false;
  }

  /** How many numbers the user has not read. */
  get unread() {
    const unread = this.position.seq - highest(this.readSeq, this.firstSeq - 1n);
    return this.left || unread < 0n ? 0 : Number(unread);
  }

  /** How far an own message has come. */
  rungOf({ seq }) {
    const number = BigInt(seq);
    if (this.#hasPeer && number <= this.peerReadSeq) return RUNGS.READ;
    if (this.#hasPeer && number <= this.peerDeliveredSeq) return RUNGS.DELIVERED;
    return number <= this.durableSeq ? RUNGS.DURABLE : RUNGS.ACCEPTED;
  }

  /** Takes a conversation as ListConversations and GetConversation tell it. */
  describe({ user, room, head, lastMessage }) {
    this.user = user ?? this.user;
    if (room) this.room = room;
    this.left = Boolean(room) && (room.role ?? NO_ROLE) === NO_ROLE;
    if (head) this.reached(head);
    if (lastMessage && isLater(lastMessage, this.lastMessage)) this.lastMessage = lastMessage;
  }

  /** Takes a head: what it says goes up only, but for where reading begins. */
  reached(head) {
    const position = positionOf(head);
    if (isAfter(position, this.position)) this.position = position;
    if (head.firstSeq && head.firstSeq !== "0") this.firstSeq = BigInt(head.firstSeq);
    this.durableSeq = highest(this.durableSeq, BigInt(head.durableSeq ?? 0));
    this.read(BigInt(head.readSeq ?? 0));
    this.#peer(BigInt(head.peerDeliveredSeq ?? 0), BigInt(head.peerReadSeq ?? 0));
  }

  /** Takes a message or a change of the room, delivered in order. */
  happened(message) {
    const position = positionOf(message);
    if (isAfter(position, this.position)) this.position = position;
    if (!isLater(message, this.lastMessage)) return;
    this.lastMessage = message;
    if (message.room) this.#changed(message);
    // Who sends has read what was before.
    else if (message.senderId === this.#me) this.read(position.seq);
    else this.#peer(position.seq, position.seq);
  }

  /** Takes a report of progress. */
  progressed({ seq, state, userId }) {
    const number = BigInt(seq ?? 0);
    if (state === RUNGS.DURABLE) this.durableSeq = highest(this.durableSeq, number);
    else if (userId === this.#me) this.read(number);
    else this.#peer(number, state === RUNGS.READ ? number : 0n);
  }

  /** The user has read up to a number. False if that was known. */
  read(seq) {
    if (seq <= this.readSeq) return false;
    this.readSeq = seq;
    return true;
  }

  get #hasPeer() {
    return this.peerId !== null && this.peerId !== this.#me;
  }

  #peer(deliveredSeq, readSeq) {
    if (!this.#hasPeer) return;
    this.peerReadSeq = highest(this.peerReadSeq, readSeq);
    this.peerDeliveredSeq = highest(this.peerDeliveredSeq, highest(deliveredSeq, readSeq));
  }

  #changed({ room: change, senderId, seq }) {
    const { created, changed, joined, left, role, owner } = change;
    const about = (userId) => userId === this.#me;
    if (joined && about(joined.userId)) this.#came(BigInt(seq));
    if (left && about(left.userId)) this.left = true;
    if (!this.room) return;
    if (created || changed) this.room = { ...this.room, ...present(created?.settings ?? changed) };
    if (joined) this.#count(1n);
    if (left) this.#count(-1n);
    if (joined && about(joined.userId)) this.#become(joined.role);
    if (left && about(left.userId)) this.#become(NO_ROLE);
    if (role && about(role.userId)) this.#become(role.role);
    if (owner && about(owner.userId)) this.#become("ROLE_OWNER");
    if (owner && about(senderId)) this.#become("ROLE_ADMIN");
  }

  /** A stay begins. What may be read from before it depends on the room, which a head will tell. */
  #came(seq) {
    this.left = false;
    if (this.room?.history !== "HISTORY_POLICY_EVERYTHING") this.firstSeq = seq;
  }

  #count(difference) {
    this.room = { ...this.room, memberCount: String(BigInt(this.room.memberCount ?? 0) + difference) };
  }

  #become(role) {
    this.room = { ...this.room, role };
  }
}

/** Id of the private conversation of two users. */
export function privateId(left, right) {
  const [low, high] = BigInt(left) < BigInt(right) ? [left, right] : [right, left];
  return `dm.${low}.${high}`;
}

/** The other member of a private conversation, or null if it is none. */
export function peerOf(id, me) {
  const [kind, low, high] = id.split(".");
  if (kind !== "dm" || !high) return null;
  return low === me ? high : low;
}

/** What to put into a send for it to go to a conversation. */
export function targetOf(id, me) {
  const peerId = peerOf(id, me);
  return peerId ? { toUserId: peerId } : { roomId: id.slice("room.".length) };
}

function isLater(message, known) {
  return known === null || isAfter(positionOf(message), positionOf(known));
}

/** Settings that are there: an absent one has not changed. */
function present(settings) {
  return Object.fromEntries(Object.entries(settings ?? {}).filter(([, value]) => value !== undefined));
}
