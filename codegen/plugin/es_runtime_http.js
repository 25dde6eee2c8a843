// HTTP calls and the one error type.

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
export const DEADLINE_GRACE_MS = 2000;
export const DEFAULT_DEADLINE_MS = 30000;

/** Who defines the reasons of what every call goes through: a refusal by it was not the method's. */
const PIPELINE_DOMAIN = "idiom";

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 30000;

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

/** Milliseconds to wait after so many failures in a row: anything up to a bound that doubles from 250 ms to 30 s. */
export function backoffMs(failures) {
  return Math.round(Math.random() * Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (failures - 1)));
}

/** Calls over HTTP. */
export class HttpChannel {
  #baseUrl;
  #token;
  #authenticate;
  #fetch;

  /**
   * `token` is a bearer token or a function that returns one, perhaps later. `authenticate(token)` is told of a token
   * that was refused; if it resolves to true, the call is made again, once.
   */
  constructor({ baseUrl = "", token = null, authenticate = () => false, fetch = globalThis.fetch } = {}) {
    this.#baseUrl = baseUrl.replace(/\/+$/, "");
    this.#token = token;
    this.#authenticate = authenticate;
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
      const attempt = (token) => this.#exchange(route, url, body, headers, token, cancel.signal);
      return await this.#authenticated(route, attempt);
    } catch (error) {
      throw error instanceof RpcError ? error : unanswered(error, cancel.signal);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", forward);
    }
  }

  async #authenticated(route, attempt) {
    if (!route.auth) return attempt(null);
    const token = await valueOf(this.#token);
    try {
      return await attempt(token);
    } catch (error) {
      if (!refusedToken(error) || !(await this.#authenticate(token))) throw error;
      return attempt(await valueOf(this.#token));
    }
  }

  async #exchange(route, url, body, headers, token, signal) {
    const sent = { accept: "application/json", ...headers };
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

/** Whether a call was refused for its token, and not for what the method itself was asked to check. */
function refusedToken(error) {
  return error instanceof RpcError && error.code === "UNAUTHENTICATED" && error.domain === PIPELINE_DOMAIN;
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
export function json(value) {
  return JSON.stringify(value, (_, item) => (typeof item === "bigint" ? String(item) : item));
}

/** JSON as a value; undefined if it is none. */
export function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A value, or what a function returns, perhaps later. */
export async function valueOf(source) {
  return typeof source === "function" ? source() : source;
}
