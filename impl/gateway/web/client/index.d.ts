// Types of the client. A test compares them with the modules.

import type {
  AuthService,
  ConnectionService,
  Conversation,
  ConversationService,
  Head,
  Int64,
  ListMessagesResponse,
  LoginRequest,
  Message,
  MessageService,
  Progress,
  RegisterRequest,
  Room,
  RoomService,
  RpcError,
  Rung,
  SendMessageRequest,
  User,
  UserService,
} from "../gen/im.js";

export { RpcError, Reason } from "../gen/im.js";
export type { Message, Room, RoomEvent, User } from "../gen/im.js";

/** The generated calls, with the tokens of whoever is logged in. */
export interface Client {
  readonly authService: AuthService;
  readonly connectionService: ConnectionService;
  readonly conversationService: ConversationService;
  readonly messageService: MessageService;
  readonly roomService: RoomService;
  readonly userService: UserService;
}

/** What is needed of the Web Storage API; own properties are keys. */
export interface TextStorage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

/** What is needed of the Web Locks API. */
export interface Locks {
  request<T>(name: string, work: () => T | Promise<T>): Promise<T>;
}

/** Options of an account. */
export interface AccountOptions {
  /** Put before every path; "" means the page's own origin. */
  baseUrl?: string;
  /** Where the login is kept; localStorage unless told, memory where there is none. */
  storage?: TextStorage;
  /** Keeps tabs from exchanging a token at once; navigator.locks unless told. */
  locks?: Locks;
  fetch?: typeof fetch;
}

/** The login of this browser, kept until it ends, and shared by its tabs. */
export class Account extends EventTarget {
  constructor(options?: AccountOptions);
  /** Calls of the whole API for whoever is logged in. Tokens are exchanged as needed. */
  readonly client: Client;
  /** The user; null if nobody is logged in. */
  readonly user: User | null;
  /** Id of the user; "" if nobody is logged in. */
  readonly userId: Int64;
  /** Creates a user and logs them in. Rejects with an RpcError. */
  register(request: RegisterRequest): Promise<void>;
  /** Logs a user in. Rejects with an RpcError. */
  logIn(request: LoginRequest): Promise<void>;
  /** Ends the login: here in any case; rejects with an RpcError if the service could not be told. */
  logOut(): Promise<void>;
  /** The access token, exchanged before it expires; null if nobody is logged in. */
  token(): Promise<string | null>;
  /** Exchanges a token that was refused. Whether there is another one now; rejects if that cannot be known now. */
  renew(accessToken: string | null): Promise<boolean>;
  /** Notes what the user is called now. */
  rename(user: User): void;
  /** The login has ended, here or in another tab. */
  addEventListener(type: "ended", listener: (event: LoginEndedEvent) => void, options?: AddEventListenerOptions): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: AddEventListenerOptions,
  ): void;
}

/** Tells that the login has ended, and why. */
export interface LoginEndedEvent extends Event {
  readonly error: LoginEnded;
}

/** Where a messenger goes on in a conversation. */
export interface Cursor {
  conversationId: string;
  epoch: Int64;
  seq: Int64;
}

/** Options of a messenger. */
export interface MessengerOptions {
  /** Logged in. */
  account: Account;
  /** Where the outbox is kept; localStorage unless told, memory where there is none. */
  storage?: TextStorage;
  /** Where conversations go on; without it they begin where they are when the first session begins. */
  cursors?: Cursor[] | null;
  /** Most that is read of what was missed in a conversation; everything unless told. */
  catchUp?: number;
  WebSocket?: typeof WebSocket;
}

/** A page of messages. */
export interface Page {
  messages: Message[];
  head: Head | null;
  more: boolean;
}

/** Kinds of events of a messenger. */
export interface MessengerEvents {
  message: MessageReceived;
  room: RoomChanged;
  progress: RungReached;
  read: ReadMarkMoved;
  connection: ConnectionChanged;
  failed: SendFailed;
  conversation: ConversationChanged;
  skipped: HistorySkipped;
}

/** The messages of one user on one device. */
export class Messenger extends EventTarget {
  constructor(options: MessengerOptions);
  readonly userId: Int64;
  readonly client: Client;
  readonly state: ConnectionState;
  /** By id. */
  readonly conversations: Map<string, Overview>;
  /** Where every conversation stands, for the messenger of a later time; null before the first session has begun. */
  readonly cursors: Cursor[] | null;
  /** Opens the session and keeps it open until `stop`, or until the login or the service ends it. */
  start(): void;
  /** Ends the session for good. What waits to be sent is sent by the next messenger of the user. */
  stop(): void;
  /** The conversation of an id, new if it was not known. */
  conversation(id: string): Overview;
  /** The private conversation with a user. */
  conversationWith(user: User): Overview;
  /** A page of conversations, the latest first. Rejects with an RpcError. */
  list(page?: { pageSize?: number; pageToken?: string }): Promise<{ conversations: Overview[]; nextPageToken: string }>;
  /** Asks for one conversation. Rejects with an RpcError. */
  look(conversationId: string): Promise<Overview>;
  /** A page of messages: before or after a number, else the newest. Rejects with an RpcError. */
  history(conversationId: string, bounds?: { beforeSeq?: Int64; afterSeq?: Int64; pageSize?: number }): Promise<Page>;
  /** Sends a text: now, or as soon as there is a connection. Throws OutboxFull. */
  send(conversationId: string, text: string): Entry;
  /** Own messages of a conversation that are not known to be in the database, oldest first. */
  unsent(conversationId: string): Entry[];
  /** Sends what failed again. */
  retry(entry: Entry): void;
  /** Gives up what failed. */
  discard(entry: Entry): void;
  /** The user has read everything of a conversation up to a number. */
  markRead(conversationId: string, seq: Int64 | bigint): void;
  addEventListener<K extends keyof MessengerEvents>(
    type: K,
    listener: (event: MessengerEvents[K]) => void,
    options?: AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: AddEventListenerOptions,
  ): void;
}

/** "live" means that nothing is missing. */
export type ConnectionState = "closed" | "connecting" | "catching up" | "live" | "waiting";

/** A message has arrived. Each comes once, in the order of its conversation, without a hole. */
export class MessageReceived extends Event {
  constructor(message: Message);
  readonly message: Message;
}

/** A room has changed: `message.room` says how. In one order with messages. */
export class RoomChanged extends Event {
  constructor(message: Message);
  readonly message: Message;
}

/** Own messages of a conversation up to `seq` have reached a rung. */
export class RungReached extends Event {
  constructor(progress: Progress);
  readonly conversationId: string;
  readonly seq: bigint;
  readonly rung: Rung;
  /** Who has received or read; "0" for DURABLE. */
  readonly userId: Int64;
}

/** The user has read up to `seq`, here or on another device. */
export class ReadMarkMoved extends Event {
  constructor(conversationId: string, seq: bigint, unread: number);
  readonly conversationId: string;
  readonly seq: bigint;
  /** Numbers that are left. */
  readonly unread: number;
}

/** The connection has another state. */
export class ConnectionChanged extends Event {
  constructor(state: ConnectionState, details?: { retryMs?: number | null; error?: RpcError | ClientError | null });
  readonly state: ConnectionState;
  /** Pause before the next attempt. */
  readonly retryMs: number | null;
  /** Why it is so; LoginEnded or SessionRefused if it is closed for good. */
  readonly error: RpcError | ClientError | null;
}

/** The service refused a message for good. */
export class SendFailed extends Event {
  constructor(entry: Entry, error: RpcError);
  readonly entry: Entry;
  readonly error: RpcError;
}

/** What is known of a conversation has changed, or what waits to be sent there. */
export class ConversationChanged extends Event {
  constructor(overview: Overview);
  readonly overview: Overview;
}

/** Too much was missed for everything to be told: what lies between two numbers was not. */
export class HistorySkipped extends Event {
  constructor(conversationId: string, afterSeq: bigint, beforeSeq: bigint);
  readonly conversationId: string;
  readonly afterSeq: bigint;
  readonly beforeSeq: bigint;
}

/** An error of the client itself, with a typed reason. */
export class ClientError extends Error {
  constructor(reason: string, message: string);
  readonly reason: string;
}

/** As many messages wait to be sent as may: OVERLOADED. */
export class OutboxFull extends ClientError {
  constructor();
}

/** Nobody is logged in any more: REFRESH_TOKEN_INVALID, REFRESH_TOKEN_REUSED or LOGGED_OUT. */
export class LoginEnded extends ClientError {
  constructor(reason?: string);
}

/** The server has closed the session for good; the reason is the name of the close code. */
export class SessionRefused extends ClientError {
  constructor(reason: string, message?: string);
}

/** A position in a conversation. */
export interface Position {
  epoch: bigint;
  seq: bigint;
}

/** One conversation's messages in their order, each once, without a hole. */
export class Feed {
  constructor(cursor?: Position | null);
  /** Position of the last message delivered; null if nothing is known. */
  cursor: Position | null;
  /** Highest position heard of. */
  target: Position;
  /** Number of the last message that was delivered; what lies between it and the cursor has no content. */
  shown: bigint;
  /** Whether there are, or may be, messages that were not delivered yet. */
  readonly behind: boolean;
  /** The number after which history is to be read. */
  readonly after: bigint;
  /** Sets the cursor where there is none. Returns what can be delivered now. */
  begin(cursor: Position): Message[];
  /** Takes note of a position that the conversation has reached. */
  note(position: Position): void;
  /** History may have more than anybody told. */
  doubt(): void;
  /** Takes a message that arrived live. Returns what can be delivered now, in order. */
  offer(message: Message): Message[];
  /** Takes the page of history behind `after`; `asked` is what `target` was when it was asked for. */
  fill(page: ListMessagesResponse, asked: Position): Message[];
  /** Goes to a page of history without what lies before it. */
  skip(page: ListMessagesResponse): Message[];
  /** There is nothing (any more) that could be asked for. */
  end(): void;
  /** Notes messages that were shown otherwise. */
  saw(messages: Message[]): void;
}

/** A message on its way. */
export interface Entry {
  readonly clientMessageId: string;
  readonly conversationId: string;
  readonly target: { toUserId: Int64 } | { roomId: Int64 };
  readonly text: string;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly state: "pending" | "accepted" | "failed";
  readonly resend?: boolean;
  /** Why it failed. */
  readonly reason?: string;
  /** Where it was accepted. */
  readonly epoch?: Int64;
  readonly seq?: Int64;
  /** Who sends it. */
  readonly tab: string;
}

/** What one user's device has sent and does not know to be in the database; it outlives the page. */
export class Outbox {
  constructor(storage: TextStorage, userId: Int64, tab: string);
  /** Oldest first. */
  readonly entries: Entry[];
  /** Conversations in which something is to be sent by this tab. */
  readonly waiting: Set<string>;
  /** Tabs other than this one that have something to send. */
  readonly tabs: Set<string>;
  of(conversationId: string): Entry[];
  /** Adds a message. Throws OutboxFull. */
  add(message: Pick<Entry, "clientMessageId" | "conversationId" | "target" | "text">, now?: number): Entry;
  /** The next entry of a conversation that this tab is to send. */
  next(conversationId: string): Entry | null;
  /** The request that sends an entry. */
  request(entry: Entry, now?: number): SendMessageRequest;
  /** The service has accepted a message. */
  accept(message: Message): void;
  /** Everything of an epoch of a conversation up to a number is in the database. */
  durable(position: { conversationId: string; epoch?: Int64 | bigint; seq: Int64 | bigint }): void;
  /** Takes a head. Whether something is to be sent again. */
  reached(head: Head): boolean;
  /** A conversation is in an epoch. Whether something is to be sent again. */
  entered(conversationId: string, epoch: Int64): boolean;
  /** Takes a head that was asked for after entries had been accepted. Whether something is to be sent again. */
  missed(entries: Entry[], head: Head): boolean;
  /** The service will never take it as it is. */
  fail(entry: Entry, reason: string): Entry;
  /** Sends what failed again, from this tab. */
  retry(entry: Entry): Entry;
  remove(entry: Pick<Entry, "clientMessageId">): void;
  /** Takes over what another tab had to send. */
  adopt(tab: string): void;
  /** Takes note of what another tab wrote. False if it is not ours. */
  changed(key: string | null, value: string | null): boolean;
}

/** A conversation as the user sees it in a list. */
export class Overview {
  constructor(id: string, me: Int64);
  readonly id: string;
  /** Id of the other user of a private conversation, or of oneself; null in a room. */
  readonly peerId: Int64 | null;
  /** Id of the room; null in a private conversation. */
  readonly roomId: Int64 | null;
  /** The other user, once known. */
  user: User | null;
  /** The room, once known. */
  room: Room | null;
  /** The last message or change of the room, once known. */
  lastMessage: Message | null;
  /** Highest position heard of. */
  position: Position;
  /** Lowest number that the user may read. */
  firstSeq: bigint;
  /** Up to here everything is in the database. */
  durableSeq: bigint;
  /** Up to here the user has read. */
  readSeq: bigint;
  /** Up to here a device of the other user has received; private conversations only. */
  peerDeliveredSeq: bigint;
  /** Up to here the other user has read; private conversations only. */
  peerReadSeq: bigint;
  /** Whether the user is no member any more. */
  left: boolean;
  /** How many numbers the user has not read. */
  readonly unread: number;
  /** How far an own message has come. */
  rungOf(message: Pick<Message, "seq">): Rung;
  /** Takes a conversation as ListConversations and GetConversation tell it. */
  describe(conversation: Conversation): void;
  /** Takes a head. */
  reached(head: Head): void;
  /** Takes a message or a change of the room, delivered in order. */
  happened(message: Message): void;
  /** Takes a report of progress. */
  progressed(progress: Progress): void;
  /** The user has read up to a number. False if that was known. */
  read(seq: bigint): boolean;
}

/** Id of the private conversation of two users. */
export function privateId(left: Int64, right: Int64): string;

/** What to put into a send for it to go to a conversation. */
export function targetOf(id: string, me: Int64): { toUserId: Int64 } | { roomId: Int64 };
