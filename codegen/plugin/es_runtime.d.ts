// Types of the runtime that generated ES modules call.

/** int64 in JSON: a string of digits, compared as BigInt (`compareInt64`). A BigInt in a request becomes one. */
export type Int64 = string;
/** bytes in JSON: base64. */
export type Bytes = string;
/** google.protobuf.Timestamp in JSON: RFC 3339. */
export type Timestamp = string;
/** google.protobuf.Duration in JSON: `1.5s`. */
export type Duration = string;
/** google.protobuf.FieldMask in JSON: names joined by commas. */
export type FieldMask = string;
/** google.protobuf.Value in JSON. */
export type Value = null | boolean | number | string | Value[] | { [key: string]: Value };
/** google.protobuf.Any in JSON. */
export type Any = { "@type": string; [key: string]: unknown };
/** A double or float in JSON. */
export type Float = number | "NaN" | "Infinity" | "-Infinity";

/** A value, or a function that returns it, perhaps later. */
export type Source<T> = T | (() => T | Promise<T>);

/** A broken rule of one field. */
export interface FieldViolation {
  field: string;
  description: string;
}

/** A refused or failed call, on every wire. */
export class RpcError extends Error {
  constructor(parts: {
    code: string;
    reason?: string;
    domain?: string;
    message?: string;
    details?: Any[];
    status?: number;
  });
  /** Name of the canonical code: "NOT_FOUND". */
  readonly code: string;
  /** Typed reason; "" where nobody gave one. */
  readonly reason: string;
  /** Who defines the reason. */
  readonly domain: string;
  /** Details of google.rpc.Status, each with its "@type". */
  readonly details: Any[];
  /** HTTP status; 0 if there was none. */
  readonly status: number;
  /** Broken rules, one for each field. */
  readonly violations: FieldViolation[];
  /** Milliseconds after which another attempt may succeed; null if the server did not say. */
  readonly retryAfterMs: number | null;
  /** Whether the same call may succeed later without any change. */
  readonly transient: boolean;
  static fromResponse(status: number, body: unknown): RpcError;
}

/** Orders two int64 values; an absent one counts as 0. Negative, 0 or positive. */
export function compareInt64(left: Int64 | undefined, right: Int64 | undefined): number;

/** Milliseconds to wait after so many failures in a row: anything up to a bound that doubles from 250 ms to 30 s. */
export function backoffMs(failures: number): number;

/** Options of one HTTP call. */
export interface CallOptions {
  signal?: AbortSignal;
  /** Replaces the method's own deadline. */
  timeoutMs?: number;
  headers?: Record<string, string>;
}

/** Options of an HTTP channel. */
export interface ChannelOptions {
  /** Put before every path. */
  baseUrl?: string;
  /** Bearer token for methods that need a user. */
  token?: Source<string | null>;
  /** Told of a token that was refused; if it resolves to true, the call is made again, once. */
  authenticate?: (token: string | null) => boolean | Promise<boolean>;
  fetch?: typeof fetch;
}

/** An HTTP binding. */
export interface Route {
  verb: string;
  path: string;
  body?: string;
  responseBody?: string;
  auth?: boolean;
  deadlineMs?: number;
}

/** Calls over HTTP. */
export class HttpChannel {
  constructor(options?: ChannelOptions);
  call(route: Route, request?: object, options?: CallOptions): Promise<any>;
}

/** What a client does after a close. */
export type Reconnect = "BACKOFF" | "NOW" | "AUTHENTICATE" | "NEVER";

/** How a connection ended. */
export interface Close {
  code: number;
  name: string;
  reconnect: Reconnect;
}

/** State of a socket. */
export interface SocketState {
  state: "connecting" | "open" | "waiting" | "closed";
  /** Set when a connection has ended. */
  close: Close | null;
  /** Pause before the next attempt. */
  retryMs: number | null;
  /** What the server, or a call for the sake of the connection, said last. */
  error: RpcError | null;
}

/** Options of a socket. */
export interface SocketOptions<Hello> {
  /** Asked before every attempt. */
  url: Source<string>;
  /** Content of the first frame. */
  hello?: () => Hello | Promise<Hello>;
  /** Called when the server has refused who says hello; if it resolves to true, another attempt is made. */
  authenticate?: () => boolean | Promise<boolean>;
  WebSocket?: typeof WebSocket;
}

/** One WebSocket endpoint of the schema. */
export interface Endpoint {
  subprotocol: string;
  hello: boolean;
  heartbeat: boolean;
  heartbeatMs: number;
  maxFrameBytes: number;
  maxCalls: number;
  calls: Record<string, { reply: string; request?: string; deadlineMs?: number }>;
  closes: readonly Close[];
}

/** A socket that speaks JSON frames, and comes back by itself. */
export class FrameSocket<ServerFrames, Hello> {
  constructor(endpoint: Endpoint, options: SocketOptions<Hello>);
  readonly state: SocketState["state"];
  /** Opens the session and keeps it open. */
  open(): void;
  /** Ends the session. Calls under way fail. */
  close(): void;
  /** Leaves the present connection for a new one. */
  renew(): void;
  /** Listens to one kind of server frame. Returns a function that ends it. */
  on<K extends keyof ServerFrames>(frame: K, listener: (content: NonNullable<ServerFrames[K]>) => void): () => void;
  /** Listens to the state. Returns a function that ends it. */
  onState(listener: (state: SocketState) => void): () => void;
  /** Sends a frame that nobody answers. False if the session is not open. */
  post(frame: string, content?: object): boolean;
  /** Sends a frame that calls a method. */
  call(frame: string, request: object, options?: { timeoutMs?: number }): Promise<any>;
}
