// What is known of one conversation: pure state, no network, no page.
//
// Messages carry (epoch, seq). Within an epoch seq counts 1, 2, 3 …; a new epoch continues higher up, so seq alone
// orders messages. `messages` is always without a hole: what arrives beyond a hole waits in `#ahead` until history
// has filled it. History pages are contiguous by the service's promise, so they may cross epochs.

/** Whether a message comes right after a position. */
function follows(message, position) {
  const sameEpoch = position.seq === "0" || (message.epoch ?? "0") === position.epoch;
  return sameEpoch && BigInt(message.seq) === BigInt(position.seq) + 1n;
}

function positionOf(message) {
  return { epoch: message.epoch ?? "0", seq: message.seq };
}

function bySeq(left, right) {
  return BigInt(left.seq) < BigInt(right.seq) ? -1 : 1;
}

/** One conversation. */
export class Conversation {
  #ahead = new Map();
  #seen = new Set();

  constructor(id, me) {
    this.id = id;
    /** The other member of a private conversation; oneself in a conversation with oneself. */
    this.peerId = peerOf(id, me);
    /** Contiguous, oldest first. */
    this.messages = [];
    /** Last contiguous position; null while nothing is known. */
    this.position = null;
    /** Highest position heard of. */
    this.head = { epoch: "0", seq: "0" };
    /** Whether history has messages older than the first one known. */
    this.older = false;
  }

  /** Takes note of a position that the service has reached. */
  reached(head) {
    const known = { epoch: head.epoch ?? "0", seq: head.seq ?? "0" };
    if (BigInt(known.seq) > BigInt(this.head.seq)) this.head = known;
  }

  /** Whether there are messages that history has and we do not. */
  get behind() {
    return BigInt(this.head.seq) > BigInt(this.position?.seq ?? 0);
  }

  /** Time by which conversations are sorted, in milliseconds. */
  get lastActive() {
    return Date.parse(this.messages.at(-1)?.createdAt ?? 0) || 0;
  }

  /** Takes a message that arrived live or as the answer to a send. */
  receive(message) {
    this.reached(message);
    if (this.position && BigInt(message.seq) <= BigInt(this.position.seq)) return;
    this.#ahead.set(message.seq, message);
    if (message.seq === "1") this.begin();
    this.#advance();
  }

  /** Takes a page of history that starts right after `position`, or the newest page while nothing is known. */
  fill({ messages = [], head, more = false }) {
    if (!this.position) this.older = more;
    for (const message of messages) this.#append(message);
    if (head) this.reached(head);
    this.#advance();
  }

  /** Nothing was ever said here. */
  begin() {
    this.position ??= { epoch: "0", seq: "0" };
    this.#advance();
  }

  /** Takes the page of history right before the first message known. */
  prepend({ messages = [], more = false }) {
    const first = this.messages[0];
    const fresh = messages.filter((message) => !first || bySeq(message, first) < 0).filter((m) => this.#fresh(m));
    this.messages.unshift(...fresh);
    this.older = more;
  }

  /** Whether a message of a sender is among `messages`. */
  has(senderId, clientMessageId) {
    return this.#seen.has(`${senderId}/${clientMessageId}`);
  }

  /** History ends at our position: a head beyond it was lost with its epoch. */
  settle(head) {
    const agreed = this.position && BigInt(head?.seq ?? 0) <= BigInt(this.position.seq);
    if (agreed && this.#ahead.size === 0) this.head = this.position;
  }

  #append(message) {
    if (this.position && BigInt(message.seq) <= BigInt(this.position.seq)) return;
    this.position = positionOf(message);
    if (this.#fresh(message)) this.messages.push(message);
  }

  /** False for a message that was seen under another number, and for a number without content. */
  #fresh(message) {
    const key = `${message.senderId}/${message.clientMessageId}`;
    if (message.tombstone || this.#seen.has(key)) return false;
    this.#seen.add(key);
    return true;
  }

  #advance() {
    if (!this.position) return;
    for (const message of [...this.#ahead.values()].sort(bySeq)) {
      const late = BigInt(message.seq) <= BigInt(this.position.seq);
      if (!late && !follows(message, this.position)) break;
      this.#ahead.delete(message.seq);
      this.#append(message);
    }
    this.reached(this.position);
  }
}

/** Id of the private conversation of two users. */
export function privateId(left, right) {
  const [low, high] = BigInt(left) < BigInt(right) ? [left, right] : [right, left];
  return `dm.${low}.${high}`;
}

/** The other member of a private conversation, or null if it is none. */
function peerOf(id, me) {
  const [kind, low, high] = id.split(".");
  if (kind !== "dm" || !high) return null;
  return low === me ? high : low;
}
