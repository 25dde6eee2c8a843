// The list of conversations.

import { element, make, paintAvatar, reconcile, setText, shortTime } from "./dom.js";
import { roomLine } from "./room_lines.js";

const MOST_COUNTED = 99;

/** The list at the side; `choose(id)` is called when one is chosen. */
export class Side {
  #messenger;
  #people;
  #choose;
  #listed = new Set();

  constructor({ messenger, people, choose }) {
    this.#messenger = messenger;
    this.#people = people;
    this.#choose = choose;
  }

  /** Notes conversations that belong to the list, also if nothing was said there yet. */
  list(overviews) {
    for (const { id } of overviews) this.#listed.add(id);
  }

  /** Paints the list; `current` is the id of the conversation that is open. Returns how many numbers are unread. */
  paint(current) {
    const known = [...this.#messenger.conversations.values()];
    const items = known.filter((one) => this.#belongs(one, current)).map((one) => this.#item(one, current));
    items.sort((left, right) => right.time - left.time);
    reconcile(element("conversations"), items, (item) => this.#create(item), update);
    return items.reduce((sum, { unread }) => sum + unread, 0);
  }

  /** The name under which a conversation is shown. */
  nameOf(overview) {
    if (overview.roomId) return overview.room?.name ?? "Room";
    const { user, peerId } = overview;
    const name = user ? user.displayName || user.username : this.#people.nameOf(peerId);
    return peerId === this.#messenger.userId ? `${name} (you)` : name;
  }

  #belongs({ id, left, lastMessage, room, user }, current) {
    if (id === current) return true;
    const known = lastMessage || (this.#listed.has(id) && (room || user)) || this.#messenger.unsent(id).length > 0;
    return Boolean(known) && !left;
  }

  #item(overview, current) {
    const { id, lastMessage, unread } = overview;
    const waiting = this.#messenger.unsent(id).findLast(({ state }) => state !== "accepted");
    const time = waiting?.createdAt ?? (Date.parse(lastMessage?.createdAt ?? overview.room?.createdAt ?? "") || 0);
    return {
      key: id,
      name: this.nameOf(overview),
      pictureId: overview.roomId ?? overview.peerId,
      isRoom: Boolean(overview.roomId),
      preview: waiting ? `You: ${waiting.text}` : this.#preview(overview),
      failed: waiting?.state === "failed",
      time,
      unread,
      current: id === current,
    };
  }

  #preview({ lastMessage, roomId }) {
    if (!lastMessage) return "";
    const name = (id) => (id === this.#messenger.userId ? "You" : this.#people.nameOf(id));
    if (lastMessage.room) return roomLine(lastMessage, name);
    if (lastMessage.tombstone) return "…";
    const mine = lastMessage.senderId === this.#messenger.userId;
    return mine || roomId ? `${name(lastMessage.senderId)}: ${lastMessage.text}` : lastMessage.text;
  }

  #create(item) {
    const avatar = make("span", "avatar");
    avatar.setAttribute("aria-hidden", "true");
    const top = make("span", "row", make("span", "name"), make("time", "quiet"));
    const bottom = make("span", "row", make("span", "preview quiet"), make("span", "count"));
    const pressed = make("button", "conversation", avatar, make("span", "lines", top, bottom));
    pressed.type = "button";
    pressed.addEventListener("click", () => this.#choose(item.key));
    return make("li", "", pressed);
  }
}

function update(child, item) {
  const pressed = child.firstElementChild;
  paintAvatar(pressed.querySelector(".avatar"), item.name, item.pictureId, item.isRoom);
  setText(pressed.querySelector(".name"), item.name);
  setText(pressed.querySelector(".preview"), item.preview);
  setText(pressed.querySelector("time"), item.time ? shortTime(new Date(item.time)) : "");
  paintCount(pressed.querySelector(".count"), item.unread);
  pressed.classList.toggle("unread", item.unread > 0);
  pressed.classList.toggle("failed", item.failed);
  if (item.current) pressed.setAttribute("aria-current", "true");
  else pressed.removeAttribute("aria-current");
}

function paintCount(count, unread) {
  if (count.dataset.unread === String(unread)) return;
  count.dataset.unread = String(unread);
  const shown = unread > MOST_COUNTED ? `${MOST_COUNTED}+` : String(unread);
  count.replaceChildren(...(unread ? [shown, make("span", "hidden", " unread")] : []));
}
