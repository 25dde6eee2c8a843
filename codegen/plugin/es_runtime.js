// What generated ES modules call: HTTP calls, sockets, the one error type. No dependency, no build step.

/** Names of google.rpc.Code by number. */
const CODES = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
];

/** Codes of answers that do not come from the service itself but from something on the way, by HTTP status. */
const CODES_BY_STATUS = {
  400: "INVALID_ARGUMENT",
  401: "UNAUTHENTICATED",
  403: "PERMISSION_DENIED",
  404: "NOT_FOUND",
  409: "ALREADY_EXISTS",
  413: "RESOURCE_EXHAUSTED",
  429: "RESOURCE_EXHAUSTED",
  501: "UNIMPLEMENTED",
  502: "UNAVAILABLE",
  503: "UNAVAILABLE",
  504: "DEADLINE_EXCEEDED",
};

const ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo";
const BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest";
const RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo";

/** Added to a method's deadline, so that the server's own answer wins over the local timer. */
const DEADLINE_GRACE_MS = 2000;
const DEFAULT_DEADLINE_MS = 30000;

/** First and longest pause before a socket comes back. */
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 10000;

/** How long a session lasts to count as a success; one that ends sooner makes the next pause longer. */
const STABLE_MS = 5000;

/** Longest time from an attempt to an open session. */
const OPENING_MS = 20000;

/** How often the server may miss its heartbeat before the connection counts as dead. */
const MISSED_HEARTBEATS = 2;

/** A refused or failed call, on every wire. */
export class RpcError extends Error {
  constructor({ code, reason = "", domain = "", message = "", details = [], status = 0 }) {
    super(message || code);
    this.name = "RpcError";
    /** Name of the canonical code: "NOT_FOUND". */
    this.code = code;
    /** Typed reason; "" where nobody gave one. */
    this.reason = reason;
    /** Who defines the reason. */
    this.domain = domain;
    /** Details of google.rpc.Status, each with its "@type". */
    this.details = details;
    /** HTTP status; 0 if there was none. */
    this.status = status;
  }

  /** Broken rules, one for each field: `{ field, description }`. */
  get violations() {
    return this.details.find((detail) => detail["@type"] === BAD_REQUEST)?.fieldViolations ?? [];
  }

  /** Milliseconds after which another attempt may succeed; null if the server did not say. */
  get retryAfterMs() {
    const delay = this.details.find((detail) => detail["@type"] === RETRY_INFO)?.retryDelay;
    return delay === undefined ? null : Number.parseFloat(delay) * 1000;
  }

  /** Whether the same call may succeed later without any change. */
  get transient() {
    const passing = ["UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED"].includes(this.code);
    return passing && this.reason !== "TOO_LARGE";
  }

  /** The error of an HTTP answer; `body` is its JSON or null. */
  static fromResponse(status, body) {
    const code = CODES[body?.code] ?? CODES_BY_STATUS[status] ?? "UNKNOWN";
    const details = Array.isArray(body?.details) ? body.details : [];
    const info = details.find((detail) => detail["@type"] === ERROR_INFO);
    const message = body?.message || `The server answered with status ${status}.`;
    return new RpcError({ code, reason: info?.reason, domain: info?.domain, message, details, status });
  }
}

/** Orders two int64 values, which are strings in JSON; an absent one counts as 0. Negative, 0 or positive. */
export function compareInt64(left, right) {
  const [a, b] = [BigInt(left ?? 0), BigInt(right ?? 0)];
  return a < b ? -1 : Number(a > b);
}

/** Calls over HTTP. */
export class HttpChannel {
  #baseUrl;
  #token;
  #fetch;

  /** `token` is a bearer token or a function that returns one, perhaps later. */
  constructor({ baseUrl = "", token = null, fetch = globalThis.fetch } = {}) {
    this.#baseUrl = baseUrl.replace(/\/+$/, "");
    this.#token = token;
    this.#fetch = fetch.bind(globalThis);
  }

  /**
   * Calls the method behind a route. Rejects with an RpcError and with nothing else.
   *
   * A route's path is a URI template (RFC 6570): `{a.b}` takes one segment, `{+a.b}` any number.
   */
  async call(route, request = {}, { signal, timeoutMs, headers = {} } = {}) {
    const cancel = new AbortController();
    const limit = timeoutMs ?? (route.deadlineMs ?? DEFAULT_DEADLINE_MS) + DEADLINE_GRACE_MS;
    const timer = setTimeout(() => cancel.abort("deadline"), limit);
    const forward = () => cancel.abort("cancelled");
    if (signal?.aborted) forward();
    signal?.addEventListener("abort", forward);
    try {
      const { url, body } = bind(route, request);
      return await this.#exchange(route, url, body, headers, cancel.signal);
    } catch (error) {
      throw error instanceof RpcError ? error : unanswered(error, cancel.signal);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", forward);
    }
  }

  async #exchange(route, url, body, headers, signal) {
    const sent = { accept: "application/json", ...headers };
    const token = route.auth ? await valueOf(this.#token) : null;
    if (token) sent.authorization = `Bearer ${token}`;
    if (body !== undefined) sent["content-type"] = "application/json";
    const payload = body === undefined ? undefined : json(body);
    const init = { method: route.verb, headers: sent, body: payload, signal, credentials: "omit" };
    const response = await this.#fetch(this.#baseUrl + url, init);
    const text = await response.text();
    const answer = parsed(text);
    if (!response.ok) throw RpcError.fromResponse(response.status, answer);
    if (answer === undefined) throw new RpcError({ code: "INTERNAL", message: "The answer cannot be read." });
    return route.responseBody ? { [route.responseBody]: answer } : answer;
  }
}

/** The URL and the body of a request: path first, then body, and the rest is the query. */
function bind(route, request) {
  const rest = structuredClone(request);
  const path = route.path.replace(/\{(\+?)([^}]+)\}/g, (_, several, name) => {
    const value = take(rest, name.split("."));
    return several ? value.split("/").map(segment(name)).join("/") : segment(name)(value);
  });
  if (route.body === "*") return { url: path, body: rest };
  const body = route.body ? (rest[route.body] ?? null) : undefined;
  delete rest[route.body];
  const query = new URLSearchParams(leaves(rest, "")).toString();
  return { url: query ? `${path}?${query}` : path, body };
}

/** Removes the value at a path and returns it as text. */
function take(request, [name, ...below]) {
  const value = request?.[name];
  if (below.length === 0) {
    delete request?.[name];
    return String(value ?? "");
  }
  return take(value, below);
}

/** Encodes one segment. Empty and dot segments cannot be written in a URL: a parser would remove them. */
function segment(name) {
  return (value) => {
    if (value === "" || value === "." || value === "..") {
      const message = `${name} cannot be "${value}" in a path.`;
      throw new RpcError({ code: "INVALID_ARGUMENT", reason: "INVALID_FIELD", message });
    }
    return encodeURIComponent(value);
  };
}

/** Name and value of every leaf: nested names joined by dots, repeated ones repeated. */
function leaves(value, name) {
  if (value === null || value === undefined) return [];
  if (Array.isArray(value)) return value.flatMap((item) => leaves(item, name));
  if (typeof value !== "object") return [[name, String(value)]];
  return Object.entries(value).flatMap(([key, item]) => leaves(item, name ? `${name}.${key}` : key));
}

/** The error of a call that nobody answered. */
function unanswered(error, signal) {
  if (signal.reason === "cancelled") return new RpcError({ code: "CANCELLED", message: "The call was cancelled." });
  if (signal.aborted) return new RpcError({ code: "DEADLINE_EXCEEDED", message: "The server took too long to answer." });
  if (error instanceof TypeError) return new RpcError({ code: "UNAVAILABLE", message: "The server cannot be reached." });
  return new RpcError({ code: "UNKNOWN", message: String(error?.message ?? error) });
}

/** A value as JSON; a BigInt is the string that int64 is in JSON. */
function json(value) {
  return JSON.stringify(value, (_, item) => (typeof item === "bigint" ? String(item) : item));
}

/** JSON as a value; undefined if it is none. */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A value, or what a function returns, perhaps later. */
async function valueOf(source) {
  return typeof source === "function" ? source() : source;
}

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
  #pause = null;
  #attempt = 0;
  #opening = null;
  #openedAt = Infinity;
  #calls = new Map();
  #lastCall = 0;
  #listeners = new Map();
  #stateListeners = new Set();
  #heartbeat = null;
  #heard = 0;
  #said = 0;
  #online = () => this.#retryNow();

  /**
   * `url` is an address or a function that returns one; it is asked before every attempt, so that a session finds
   * another server when the first one is gone. `hello` returns the content of the first frame.
   */
  constructor(endpoint, { url, hello = () => ({}), WebSocket = globalThis.WebSocket }) {
    this.#endpoint = endpoint;
    this.#options = { url, hello, WebSocket };
  }

  /** "connecting", "open", "waiting" (for the next attempt) or "closed". */
  get state() {
    return this.#state;
  }

  /** Opens the session and keeps it open until `close`, or until the server says not to come back. */
  open() {
    if (this.#state !== "closed") return;
    this.#failures = 0;
    globalThis.addEventListener?.("online", this.#online);
    void this.#connect();
  }

  /** Ends the session. Calls under way fail. */
  close() {
    if (this.#state !== "closed") this.#end({ code: 1000, name: "CLOSED", reconnect: "NEVER" });
  }

  /** Listens to one kind of server frame. Returns a function that ends it. */
  on(frame, listener) {
    if (!this.#listeners.has(frame)) this.#listeners.set(frame, new Set());
    this.#listeners.get(frame).add(listener);
    return () => this.#listeners.get(frame).delete(listener);
  }

  /**
   * Listens to the state: `{ state, close, retryMs }`, `close` being `{ code, name, reconnect }` of the connection
   * that ended. Returns a function that ends it.
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
    this.#become("connecting");
    let socket;
    try {
      const address = await valueOf(this.#options.url);
      if (this.#attempt !== attempt || this.#state !== "connecting") return undefined;
      socket = new this.#options.WebSocket(address, [`${this.#endpoint.subprotocol}.json`]);
    } catch (error) {
      return this.#attempt === attempt && this.#state === "connecting" ? this.#lost(adviceOf(error)) : undefined;
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
      if (this.#socket === socket) this.#lost(adviceOf(error));
    }
    return undefined;
  }

  #opened(welcome) {
    clearTimeout(this.#opening);
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
    if (call && name === "error") this.#settle(content.requestId).reject(new RpcError(content));
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

  #lost(close) {
    if (close.reconnect === "NEVER" || close.reconnect === "AUTHENTICATE") return this.#end(close);
    if (Date.now() - this.#openedAt > STABLE_MS) this.#failures = 0;
    this.#drop();
    const now = close.reconnect === "NOW" && this.#failures === 0;
    const longest = now ? FIRST_PAUSE_MS : Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (this.#failures + 1));
    const retryMs = Math.round(longest * (0.5 + Math.random() / 2));
    this.#failures += 1;
    this.#pause = setTimeout(() => this.#connect(), retryMs);
    return this.#become("waiting", { close, retryMs });
  }

  #end(close) {
    this.#drop();
    globalThis.removeEventListener?.("online", this.#online);
    this.#become("closed", { close });
  }

  #drop() {
    clearTimeout(this.#pause);
    clearTimeout(this.#opening);
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

  #become(state, { close = null, retryMs = null } = {}) {
    this.#state = state;
    for (const listener of this.#stateListeners) listener({ state, close, retryMs });
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
