// Paints messages, room events and days.

import { button, clock, icon, linked, longDay, make, paintAvatar, reconcile, setText } from "./dom.js";

const JOIN_MS = 5 * 60 * 1000;

/** Sign and words for how far an own message has come. */
const MARKS = {
  pending: ["waiting", "waiting to be sent"],
  failed: ["failed", "not sent"],
  ACCEPTED: ["tick", "sent"],
  DURABLE: ["tick", "stored"],
  DELIVERED: ["ticks", "delivered"],
  READ: ["ticks", "read"],
};

const KINDS = {
  message: { create: messageItem, update: updateMessage },
  line: {
    create: () => make("li", "line", make("span")),
    update: (child, item) => setText(child.firstChild, item.text),
  },
  day: { create: () => make("li", "day"), update: (child, item) => setText(child, item.day) },
  unread: { create: () => make("li", "unread-from", make("span", "", "New")), update: () => undefined },
};

/**
 * Paints `{ key, kind, … }`: a "message" has mine, author, authorId, isRoom, text, lost, time, mark, error and entry, a
 * "line" a text and a time; both have a seq once they are numbered. Days are put between. `unreadFrom` is the number
 * above which the reader had not read, or null. `actions` has `retry(entry)` and `discard(entry)`.
 */
export function paintTimeline(list, items, unreadFrom, actions) {
  reconcile(
    list,
    withDays(items, unreadFrom),
    (item) => KINDS[item.kind].create(item),
    (child, item) => {
      child.dataset.seq = item.seq ?? "";
      KINDS[item.kind].update(child, item, actions);
    },
  );
}

function messageItem(item) {
  const author = make("span", item.mine || !item.isRoom ? "hidden" : "author", item.mine ? "You: " : "");
  const text = make("span", "text", ...(item.lost ? ["This message was lost."] : linked(item.text)));
  const bubble = make("div", "bubble", author, text);
  const meta = make("div", "meta", make("time"), make("span", "mark"));
  const said = make("li", "message", bubble, meta);
  if (item.isRoom && !item.mine) said.prepend(avatarOf());
  return said;
}

function avatarOf() {
  const avatar = make("span", "avatar small");
  avatar.setAttribute("aria-hidden", "true");
  return avatar;
}

function updateMessage(child, item, actions) {
  child.classList.toggle("mine", item.mine);
  child.classList.toggle("joined", item.joined);
  child.classList.toggle("lost", Boolean(item.lost));
  child.dataset.rung = item.mark;
  if (!item.mine)
    setText(child.querySelector(".author, .bubble > .hidden"), item.isRoom ? item.author : `${item.author}: `);
  const avatar = child.querySelector(".avatar");
  if (avatar) paintAvatar(avatar, item.author, item.authorId);
  const time = child.querySelector("time");
  time.dateTime = new Date(item.time).toISOString();
  setText(time, clock(new Date(item.time)));
  paintMark(child.querySelector(".mark"), item);
  paintFailure(child, item, actions);
}

function paintMark(mark, item) {
  if (!item.mine || mark.dataset.mark === item.mark) return;
  const [sign, words] = MARKS[item.mark];
  mark.dataset.mark = item.mark;
  mark.title = words;
  mark.replaceChildren(icon(sign), make("span", "hidden", words));
}

function paintFailure(child, item, actions) {
  const shown = child.querySelector(".failure");
  if (item.mark !== "failed") return shown?.remove();
  if (shown) return undefined;
  const again = button("Try again", "plain", () => actions.retry(item.entry));
  const away = button("Discard", "plain", () => actions.discard(item.entry));
  return child.append(make("div", "failure error", `${item.error} `, again, away));
}

/** Puts a day before the first item of each day, and joins what one person says in a row. */
function withDays(items, unreadFrom) {
  const painted = [];
  let last = null;
  const isUnread = (item) => unreadFrom !== null && Boolean(item?.seq) && BigInt(item.seq) > unreadFrom;
  for (const item of items) {
    const day = new Date(item.time).toDateString();
    const sameDay = last && new Date(last.time).toDateString() === day;
    // What waits to be sent stands last, so a day may come twice: its key is that of the item below it.
    if (!sameDay) painted.push({ key: `day ${item.key}`, kind: "day", day: longDay(new Date(item.time)) });
    const begins = isUnread(item) && !isUnread(last);
    if (begins) painted.push({ key: "unread", kind: "unread" });
    painted.push({ ...item, joined: Boolean(sameDay && !begins && follows(item, last)) });
    last = item;
  }
  return painted;
}

function follows(item, last) {
  const both = item.kind === "message" && last.kind === "message";
  return both && last.authorId === item.authorId && item.time - last.time < JOIN_MS;
}
