// Sockets that come back by themselves.

import { DEADLINE_GRACE_MS, DEFAULT_DEADLINE_MS, RpcError, backoffMs, json, parsed, valueOf } from "./runtime_http.js";

/** How long a session lasts to count as a success; one that ends sooner makes the next pause longer. */
const STABLE_MS = 5000;

/** Longest time from an attempt to an open session. */
const OPENING_MS = 20000;

/** How often the server may miss its heartbeat before the connection counts as dead. */
const MISSED_HEARTBEATS = 2;

/** How long a server may be silent after the network changed. */
const PROBE_MS = 3000;

/**
 * One WebSocket endpoint that speaks JSON frames, and comes back by itself.
 *
 * A frame is an object with one member, whose name says what it is. Members named `hello`, `welcome`, `heartbeat`
 * and `error` have a meaning of their own where the schema has them: a session is open when `hello` was answered by
 * `welcome`, both sides show life by `heartbeat`, and `error` answers a call that failed.
 */
export class FrameSocket {
  #endpoint;
  #options;
  #socket = null;
  #state = "closed";
  #failures = 0;
  #refusals = 0;
  #pause = null;
  #attempt = 0;
  #complaint = null;
  #opening = null;
  #openedAt = Infinity;
  #calls = new Map();
  #lastCall = 0;
  #listeners = new Map();
  #stateListeners = new Set();
  #heartbeat = null;
  #heard = 0;
  #said = 0;
  #probe = null;
  #online = () => (this.#state === "open" ? this.#probeNow() : this.#retryNow());

  /**
   * `url` is an address or a function that returns one; it is asked before every attempt, so that a session finds
   * another server when the first one is gone. `hello` returns the content of the first frame. `authenticate` is
   * called when the server has refused who says hello; if it resolves to true, another attempt is made.
   */
  constructor(endpoint, { url, hello = () => ({}), authenticate = () => false, WebSocket = globalThis.WebSocket }) {
    this.#endpoint = endpoint;
    this.#options = { url, hello, authenticate, WebSocket };
  }

  /** "connecting", "open", "waiting" (for the next attempt) or "closed". */
  get state() {
    return this.#state;
  }

  /** Opens the session and keeps it open until `close`, or until the server says not to come back. */
  open() {
    if (this.#state !== "closed") return;
    this.#failures = this.#refusals = 0;
    globalThis.addEventListener?.("online", this.#online);
    void this.#connect();
  }

  /** Ends the session. Calls under way fail. */
  close() {
    if (this.#state !== "closed") this.#end({ code: 1000, name: "CLOSED", reconnect: "NEVER" });
  }

  /** Leaves the present connection for a new one, such as when the hello no longer holds. */
  renew() {
    if (this.#state === "open") this.#lost({ code: 1000, name: "RENEWED", reconnect: "NOW" });
  }

  /** Listens to one kind of server frame. Returns a function that ends it. */
  on(frame, listener) {
    if (!this.#listeners.has(frame)) this.#listeners.set(frame, new Set());
    this.#listeners.get(frame).add(listener);
    return () => this.#listeners.get(frame).delete(listener);
  }

  /**
   * Listens to the state: `{ state, close, retryMs, error }`, `close` being `{ code, name, reconnect }` of the
   * connection that ended, `error` what the server or a call for its sake said last. Returns a function that ends it.
   */
  onState(listener) {
    this.#stateListeners.add(listener);
    return () => this.#stateListeners.delete(listener);
  }

  /** Sends a frame that nobody answers. False if the session is not open. */
  post(frame, content = {}) {
    if (this.#state !== "open") return false;
    this.#write(encode(this.#endpoint, frame, content));
    return true;
  }

  /** Sends a frame that calls a method; resolves to its response, rejects with an RpcError. */
  call(frame, request, { timeoutMs } = {}) {
    const { reply, deadlineMs = DEFAULT_DEADLINE_MS, request: field = "request" } = this.#endpoint.calls[frame];
    if (this.#state !== "open") return Promise.reject(disconnected());
    if (this.#calls.size >= (this.#endpoint.maxCalls || Infinity)) {
      const message = "Too many calls are under way.";
      return Promise.reject(new RpcError({ code: "RESOURCE_EXHAUSTED", reason: "OVERLOADED", message }));
    }
    return new Promise((resolve, reject) => {
      const requestId = String(++this.#lastCall);
      const text = encode(this.#endpoint, frame, { requestId, [field]: request });
      const limit = timeoutMs ?? deadlineMs + DEADLINE_GRACE_MS;
      const timer = setTimeout(() => this.#settle(requestId)?.reject(overdue()), limit);
      this.#calls.set(requestId, { reply, resolve, reject, timer });
      this.#write(text);
    });
  }

  async #connect() {
    const attempt = ++this.#attempt;
    this.#complaint = null;
    this.#become("connecting");
    let socket;
    try {
      const address = await valueOf(this.#options.url);
      if (this.#attempt !== attempt || this.#state !== "connecting") return undefined;
      socket = new this.#options.WebSocket(address, [`${this.#endpoint.subprotocol}.json`]);
    } catch (error) {
      if (this.#attempt !== attempt || this.#state !== "connecting") return undefined;
      return this.#lost(adviceOf(error), error);
    }
    this.#socket = socket;
    this.#opening = setTimeout(() => this.#lost({ code: 1006, name: "UNANSWERED", reconnect: "BACKOFF" }), OPENING_MS);
    const current = (react) => (event) => this.#socket === socket && react(event);
    socket.addEventListener("open", current(() => this.#greet(socket)));
    socket.addEventListener("message", current((event) => this.#receive(event.data)));
    socket.addEventListener("close", current((event) => this.#lost(this.#advice(event.code))));
    return undefined;
  }

  async #greet(socket) {
    if (!this.#endpoint.hello) return this.#opened({});
    try {
      const content = await this.#options.hello();
      if (this.#socket === socket) this.#write(json({ hello: content }));
    } catch (error) {
      if (this.#socket === socket) this.#lost(adviceOf(error), error);
    }
    return undefined;
  }

  #opened(welcome) {
    clearTimeout(this.#opening);
    this.#refusals = 0;
    this.#heard = this.#openedAt = Date.now();
    const seconds = welcome.heartbeatSeconds ?? this.#endpoint.heartbeatMs / 1000;
    if (this.#endpoint.heartbeat && seconds > 0) {
      this.#heartbeat = setInterval(() => this.#beat(seconds * 1000), seconds * 1000);
    }
    this.#become("open");
  }

  /** Shows life, and gives up on a server that shows none. A laptop that slept notices here. */
  #beat(interval) {
    if (Date.now() - this.#heard > MISSED_HEARTBEATS * interval + DEADLINE_GRACE_MS) {
      return this.#lost({ code: 1006, name: "HEARTBEAT_TIMEOUT", reconnect: "NOW" });
    }
    this.post("heartbeat");
    return undefined;
  }

  #receive(text) {
    this.#heard = Date.now();
    const frame = parsed(text);
    for (const [name, content] of Object.entries(frame ?? {})) {
      if (name === "welcome" && this.#state === "connecting") this.#opened(content);
      else if (name === "heartbeat") this.#answerHeartbeat();
      this.#resolve(name, content);
      for (const listener of this.#listeners.get(name) ?? []) listener(content);
    }
  }

  /** Timers of a hidden page are slowed down, arriving frames are not. */
  #answerHeartbeat() {
    if (this.#endpoint.heartbeat && Date.now() - this.#said > this.#endpoint.heartbeatMs / 2) this.post("heartbeat");
  }

  #resolve(name, content) {
    const call = this.#calls.get(content?.requestId);
    if (name === "error" && !content?.requestId) this.#complaint = new RpcError(content);
    else if (call && name === "error") this.#settle(content.requestId).reject(new RpcError(content));
    else if (call?.reply === name) this.#settle(content.requestId).resolve(content.response ?? {});
  }

  #settle(requestId) {
    const call = this.#calls.get(requestId);
    clearTimeout(call?.timer);
    this.#calls.delete(requestId);
    return call;
  }

  #write(text) {
    this.#said = Date.now();
    this.#socket.send(text);
  }

  /** What to do after a close code: the schema's word, or to come back with backoff. */
  #advice(code) {
    return this.#endpoint.closes.find((close) => close.code === code) ?? { code, name: "LOST", reconnect: "BACKOFF" };
  }

  #lost(close, error = this.#complaint) {
    if (close.reconnect === "NEVER") return this.#end(close, error);
    if (Date.now() - this.#openedAt > STABLE_MS) this.#failures = 0;
    this.#drop();
    if (close.reconnect === "AUTHENTICATE") return this.#authenticate(close, error);
    return this.#wait(close, error);
  }

  #wait(close, error) {
    const retryMs = close.reconnect === "NOW" && this.#failures === 0 ? 0 : backoffMs(this.#failures + 1);
    this.#failures += 1;
    this.#pause = setTimeout(() => this.#connect(), retryMs);
    return this.#become("waiting", { close, retryMs, error });
  }

  /** Asks for what would let the next hello pass; a second refusal in a row is final. */
  async #authenticate(close, error) {
    this.#refusals += 1;
    if (this.#refusals > 1) return this.#end(close, error);
    const attempt = ++this.#attempt;
    this.#become("connecting", { close, error });
    const given = await Promise.resolve(this.#options.authenticate()).catch((refusal) => refusal);
    if (this.#attempt !== attempt || this.#state !== "connecting") return undefined;
    if (given === true) return this.#wait({ ...close, reconnect: "NOW" }, error);
    const passing = given instanceof RpcError && given.transient;
    if (passing) this.#refusals = 0;
    return passing ? this.#wait(close, given) : this.#end(close, given instanceof RpcError ? given : error);
  }

  #end(close, error = null) {
    this.#drop();
    globalThis.removeEventListener?.("online", this.#online);
    this.#become("closed", { close, error });
  }

  #drop() {
    clearTimeout(this.#pause);
    clearTimeout(this.#opening);
    clearTimeout(this.#probe);
    clearInterval(this.#heartbeat);
    this.#openedAt = Infinity;
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    for (const requestId of [...this.#calls.keys()]) this.#settle(requestId).reject(disconnected());
  }

  #retryNow() {
    if (this.#state !== "waiting") return;
    clearTimeout(this.#pause);
    void this.#connect();
  }

  /** The network is back, perhaps another one: a connection through the old one may be dead without a word. */
  #probeNow() {
    const asked = Date.now();
    if (!this.#endpoint.heartbeat || !this.post("heartbeat")) return;
    clearTimeout(this.#probe);
    this.#probe = setTimeout(() => {
      if (this.#heard < asked) this.#lost({ code: 1006, name: "HEARTBEAT_TIMEOUT", reconnect: "NOW" });
    }, PROBE_MS);
  }

  #become(state, { close = null, retryMs = null, error = null } = {}) {
    this.#state = state;
    for (const listener of this.#stateListeners) listener({ state, close, retryMs, error });
  }
}

/** A frame as text. One that the server would close the connection for is refused here. */
function encode(endpoint, frame, content) {
  const text = json({ [frame]: content });
  if (endpoint.maxFrameBytes && new TextEncoder().encode(text).length > endpoint.maxFrameBytes) {
    throw new RpcError({ code: "RESOURCE_EXHAUSTED", reason: "TOO_LARGE", message: "This is too large to be sent." });
  }
  return text;
}

/** What to do when the address or the first frame could not be had. */
function adviceOf(error) {
  const refused = error instanceof RpcError && error.code === "UNAUTHENTICATED";
  return { code: 0, name: error?.reason || "UNREACHABLE", reconnect: refused ? "AUTHENTICATE" : "BACKOFF" };
}

function disconnected() {
  return new RpcError({ code: "UNAVAILABLE", reason: "DISCONNECTED", message: "There is no connection now." });
}

function overdue() {
  return new RpcError({ code: "DEADLINE_EXCEEDED", message: "The server took too long to answer." });
}
