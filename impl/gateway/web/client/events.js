// What a Messenger tells. Numbers of messages are BigInt, messages are as the service sends them.

/** A message has arrived: `message`. Each comes once, in the order of its conversation, without a hole. */
export class MessageReceived extends Event {
  constructor(message) {
    super("message");
    this.message = message;
  }
}

/** A room has changed: `message`, whose `room` says how. In one order with messages. */
export class RoomChanged extends Event {
  constructor(message) {
    super("room");
    this.message = message;
  }
}

/** Own messages of a conversation up to `seq` have reached `rung`, by what `userId` did ("0" for DURABLE). */
export class RungReached extends Event {
  constructor({ conversationId, seq, state, userId = "0" }) {
    super("progress");
    Object.assign(this, { conversationId, seq: BigInt(seq), rung: state, userId });
  }
}

/** The user has read up to `seq`, here or on another device; `unread` numbers are left. */
export class ReadMarkMoved extends Event {
  constructor(conversationId, seq, unread) {
    super("read");
    Object.assign(this, { conversationId, seq, unread });
  }
}

/**
 * The connection is now "connecting", "catching up", "live" (nothing is missing any more), "waiting" for the next
 * attempt in `retryMs`, or "closed", for `error` if it was not by `stop`.
 */
export class ConnectionChanged extends Event {
  constructor(state, { retryMs = null, error = null } = {}) {
    super("connection");
    Object.assign(this, { state, retryMs, error });
  }
}

/** The service refused a message for good: `entry` of the outbox, and the `error` with its reason. */
export class SendFailed extends Event {
  constructor(entry, error) {
    super("failed");
    Object.assign(this, { entry, error });
  }
}

/** What is known of a conversation has changed: its `overview`, or what waits to be sent there. */
export class ConversationChanged extends Event {
  constructor(overview) {
    super("conversation");
    this.overview = overview;
  }
}

/** Too much was missed for everything to be told: what lies between two numbers of a conversation was not. */
export class HistorySkipped extends Event {
  constructor(conversationId, afterSeq, beforeSeq) {
    super("skipped");
    Object.assign(this, { conversationId, afterSeq, beforeSeq });
  }
}
