// One sentence for every way in which something can fail.

import { Reason } from "/gen/im.js";

const BY_REASON = {
  [Reason.USERNAME_TAKEN]: "This user name is taken.",
  [Reason.WRONG_CREDENTIALS]: "User name and password do not match.",
  [Reason.USER_NOT_FOUND]: "There is no user of that name.",
  [Reason.NOT_A_MEMBER]: "You are not a member of this conversation.",
  [Reason.CONVERSATION_NOT_FOUND]: "There is no such conversation.",
  [Reason.HISTORY_INCOMPLETE]: "A part of the history cannot be read now. Please try again.",
  TOO_LARGE: "This is too long to be sent.",
};

const BY_FIELD = {
  username: "A user name has 2 to 64 letters, digits or any of _ . -",
  password: "A password has 8 to 256 characters.",
  text: "A message has at most 16,384 bytes.",
};

const BY_CODE = {
  UNAVAILABLE: "The service cannot be reached now. Please try again.",
  DEADLINE_EXCEEDED: "The service took too long to answer. Please try again.",
  RESOURCE_EXHAUSTED: "Too much at once. Please try again in a moment.",
  UNAUTHENTICATED: "Your login has expired. Please log in again.",
  INTERNAL: "Something went wrong in the service. Please try again.",
};

/** What to tell people about an RpcError. */
export function sentence(error) {
  return BY_REASON[error.reason] ?? BY_FIELD[fieldAtFault(error)] ?? BY_CODE[error.code] ?? error.message;
}

/** Name of the first field at fault; in socket frames it stands before the message. */
function fieldAtFault({ reason, violations, message }) {
  const path = violations[0]?.field ?? (reason === "VALIDATION_FAILED" ? message.split(":")[0] : "");
  return path.split(".").at(-1);
}
