// The client: everything that a page or a bot needs to talk, over the generated calls and frames of ../gen/im.js.

export { RpcError, Reason } from "../gen/im.js";
export { Account } from "./account.js";
export { ClientError, LoginEnded, OutboxFull, SessionRefused } from "./errors.js";
export {
  ConnectionChanged,
  ConversationChanged,
  HistorySkipped,
  MessageReceived,
  ReadMarkMoved,
  RoomChanged,
  RungReached,
  SendFailed,
} from "./events.js";
export { Feed } from "./feed.js";
export { Messenger } from "./messenger.js";
export { Outbox } from "./outbox.js";
export { Overview, privateId, targetOf } from "./overview.js";
