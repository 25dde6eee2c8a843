// What generated ES modules call: HTTP calls, sockets, the one error type. No dependency, no build step.

export { HttpChannel, RpcError, backoffMs, compareInt64 } from "./runtime_http.js";
export { FrameSocket } from "./runtime_socket.js";
