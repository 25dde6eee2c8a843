// A room seen from outside.

import { Reason, RpcError } from "/client/index.js";

import { attempt } from "./attempt.js";
import { element, paintAvatar, setText } from "./dom.js";
import { sentence } from "./sentences.js";

/**
 * Shows a room to who is no member. `joined(conversationId)` is called when they have become one, `back()` if they do
 * not want to.
 */
export async function visit({ messenger, roomId, joined, back }) {
  element("visit").hidden = false;
  setText(element("visit-title"), "Room");
  setText(element("visit-about"), "");
  setText(element("visit-error"), "");
  element("join").hidden = true;
  element("visit-back").onclick = back;
  try {
    const { room } = await messenger.client.roomService.getRoom({ roomId });
    paint(room);
    element("join").onclick = () => void join({ messenger, room, joined });
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    // Who may not even look at a room could not join it either.
    const reason = error.reason === Reason.NOT_A_MEMBER ? Reason.INVITE_ONLY : error.reason;
    setText(element("visit-error"), sentence({ code: error.code, message: error.message, reason }));
  }
}

function paint(room) {
  const count = Number(room.memberCount ?? 0);
  setText(element("visit-title"), room.name);
  setText(element("visit-about"), `${count} ${count === 1 ? "member" : "members"}. ${room.description ?? ""}`);
  paintAvatar(element("visit-avatar"), room.name, room.id, true);
  element("join").hidden = false;
}

async function join({ messenger, room, joined }) {
  const { client, userId } = messenger;
  const done = await attempt("visit-error", async () => {
    await client.roomService.addMember({ roomId: room.id, userId });
    await messenger.look(room.conversationId);
  });
  if (done) joined(room.conversationId);
}
