// One sentence for every way in which something can fail.

import { Reason } from "/client/index.js";

const BY_REASON = {
  [Reason.USERNAME_TAKEN]: "This user name is taken.",
  [Reason.WRONG_CREDENTIALS]: "User name and password do not match.",
  [Reason.USER_NOT_FOUND]: "There is no user of that name.",
  [Reason.NOT_A_MEMBER]: "You are not a member of this conversation.",
  [Reason.CONVERSATION_NOT_FOUND]: "There is no such conversation.",
  [Reason.HISTORY_INCOMPLETE]: "A part of the history cannot be read now. Please try again.",
  [Reason.NO_CONNECTION_GATEWAY]: "No connection can be made now. Please try again.",
  [Reason.RECOVERING]: "The service is recovering. Please try again.",
  [Reason.ROOM_NOT_FOUND]: "There is no such room.",
  [Reason.MEMBER_NOT_FOUND]: "This user is not a member of the room.",
  [Reason.ROLE_REQUIRED]: "Your role in this room does not allow that.",
  [Reason.INVITE_ONLY]: "This room is by invitation only. Ask a member to add you.",
  [Reason.OWNER_MUST_TRANSFER]: "You own this room: hand it over to another member first.",
  [Reason.ROOM_FULL]: "This room has as many members as it may have.",
  [Reason.TOO_MANY_ROOMS]: "You are in as many rooms as you may be.",
  [Reason.LOGIN_NOT_FOUND]: "This login has ended already.",
  [Reason.REFRESH_TOKEN_INVALID]: "Your login has expired. Please log in again.",
  [Reason.REFRESH_TOKEN_REUSED]: "Your login was ended to protect your account. Please log in again.",
  LOGGED_OUT: "",
  OVERLOADED: "Too many messages are waiting to be sent. Please try again in a moment.",
  TOO_LARGE: "This is too long to be sent.",
};

const BY_FIELD = {
  username: "A user name has 2 to 64 letters, digits or any of _ . -",
  password: "A password has 8 to 256 characters.",
  newPassword: "A password has 8 to 256 characters.",
  oldPassword: "Please enter your present password.",
  text: "A message has at most 16,384 bytes.",
  name: "A room has a name of at most 128 characters.",
  description: "A description has at most 2,000 characters.",
  displayName: "A name has at most 128 characters.",
  about: "What you say about yourself has at most 2,000 characters.",
  memberIds: "A room begins with at most 500 other members, each named once.",
  roomId: "This is not the link of a room.",
};

const BY_CODE = {
  UNAVAILABLE: "The service cannot be reached now. Please try again.",
  DEADLINE_EXCEEDED: "The service took too long to answer. Please try again.",
  RESOURCE_EXHAUSTED: "Too much at once. Please try again in a moment.",
  UNAUTHENTICATED: "Your login has expired. Please log in again.",
  INTERNAL: "Something went wrong in the service. Please try again.",
};

/** What to tell people about an RpcError or a ClientError. */
export function sentence(error) {
  const known = BY_REASON[error.reason] ?? BY_FIELD[fieldAtFault(error)] ?? BY_CODE[error.code];
  return known ?? error.message;
}

/** What to tell people about the reason for which a message was not sent. */
export function whyNotSent(reason) {
  return BY_REASON[reason] ?? BY_CODE[reason] ?? "The service did not take this message.";
}

/** Name of the first field at fault; in socket frames it stands before the message. */
function fieldAtFault({ reason, violations = [], message }) {
  const path = violations[0]?.field ?? (reason === "VALIDATION_FAILED" ? message.split(":")[0] : "");
  const name = path.split(".").at(-1);
  return name.replace(/\[\d+\]$/u, "").replace(/_(\w)/gu, (_, letter) => letter.toUpperCase());
}
