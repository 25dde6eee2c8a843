// The page's elements. Whatever people write goes in as text, never as markup.

const JOIN_MS = 5 * 60 * 1000;
const HUES = 8;

const MARKS = {
  pending: ["◷", "waiting to be sent"],
  accepted: ["✓", "sent"],
  failed: ["!", "not sent"],
};

/** The element of an id. */
export function element(id) {
  return document.getElementById(id);
}

/** A new element with classes and children; strings become text. */
function make(tag, classes, ...children) {
  const made = document.createElement(tag);
  if (classes) made.className = classes;
  made.append(...children);
  return made;
}

/** Makes the children of a list the wanted ones, keeping and moving what is there. */
function reconcile(list, wanted, create, update) {
  const present = new Map([...list.children].map((child) => [child.dataset.key, child]));
  let place = list.firstElementChild;
  for (const item of wanted) {
    const child = present.get(item.key) ?? create(item);
    child.dataset.key = item.key;
    present.delete(item.key);
    update(child, item);
    if (child === place) place = place.nextElementSibling;
    else list.insertBefore(child, place);
  }
  for (const child of present.values()) child.remove();
}

/** First letter and colour of somebody. */
export function paintAvatar(avatar, name, id) {
  avatar.textContent = [...name][0]?.toUpperCase() ?? "?";
  // Ids are made of a time and a counter: only all of their digits together differ from person to person.
  avatar.dataset.hue = String([...String(id)].reduce((sum, digit) => (sum * 31 + digit.charCodeAt(0)) % 9973, 7) % HUES);
}

/** The list of conversations: `{ key, name, peerId, preview, time, unread, current }`. */
export function paintConversations(list, items, choose) {
  reconcile(list, items, (item) => conversationItem(item, choose), updateConversation);
}

function conversationItem(item, choose) {
  const avatar = make("span", "avatar");
  avatar.setAttribute("aria-hidden", "true");
  const top = make("span", "row", make("span", "name"), make("time", "quiet"));
  const bottom = make("span", "row", make("span", "preview quiet"), make("span", "dot"));
  const button = make("button", "conversation", avatar, make("span", "lines", top, bottom));
  button.type = "button";
  button.addEventListener("click", () => choose(item.key));
  return make("li", "", button);
}

function updateConversation(child, item) {
  const button = child.firstElementChild;
  paintAvatar(button.querySelector(".avatar"), item.name, item.peerId);
  setText(button.querySelector(".name"), item.name);
  setText(button.querySelector(".preview"), item.preview);
  setText(button.querySelector("time"), item.time ? shortTime(new Date(item.time)) : "");
  setText(button.querySelector(".dot"), item.unread ? "new" : "");
  button.classList.toggle("unread", item.unread);
  if (item.current) button.setAttribute("aria-current", "true");
  else button.removeAttribute("aria-current");
}

/**
 * The messages of a conversation: `{ key, mine, author, text, time, state, error, entry }`, with days between.
 * `actions` has `retry(entry)` and `discard(entry)`.
 */
export function paintMessages(list, messages, actions) {
  reconcile(
    list,
    withDays(messages),
    (item) => (item.day ? make("li", "day") : messageItem(item)),
    (child, item) => (item.day ? setText(child, item.day) : updateMessage(child, item, actions)),
  );
}

function messageItem(item) {
  const bubble = make("div", "bubble", make("span", "hidden", `${item.author}: `), make("span", "text", item.text));
  const meta = make("div", "meta", make("time", ""), make("span", "mark"));
  return make("li", "message", bubble, meta);
}

function updateMessage(child, item, actions) {
  child.classList.toggle("mine", item.mine);
  child.classList.toggle("joined", item.joined);
  child.dataset.state = item.state;
  const time = child.querySelector("time");
  time.dateTime = new Date(item.time).toISOString();
  setText(time, clock(new Date(item.time)));
  paintMark(child.querySelector(".mark"), item);
  paintFailure(child, item, actions);
}

function paintMark(mark, item) {
  if (!item.mine || mark.dataset.state === item.state) return;
  const [sign, words] = MARKS[item.state];
  mark.dataset.state = item.state;
  mark.title = words;
  const visible = make("span", "", sign);
  visible.setAttribute("aria-hidden", "true");
  mark.replaceChildren(visible, make("span", "hidden", words));
}

function paintFailure(child, item, actions) {
  const shown = child.querySelector(".failure");
  if (item.state !== "failed") return shown?.remove();
  if (shown) return undefined;
  const again = make("button", "plain", "Try again");
  const away = make("button", "plain", "Discard");
  again.addEventListener("click", () => actions.retry(item.entry));
  away.addEventListener("click", () => actions.discard(item.entry));
  return child.append(make("div", "failure error", `${item.error} `, again, away));
}

/** Puts a day before the first message of each day, and joins what one person says in a row. */
function withDays(messages) {
  const items = [];
  let last = null;
  for (const message of messages) {
    const day = new Date(message.time).toDateString();
    const sameDay = last && new Date(last.time).toDateString() === day;
    // What waits to be sent stands last, so a day may come twice: its key is that of the message below it.
    if (!sameDay) items.push({ key: `day ${message.key}`, day: longDay(new Date(message.time)) });
    const joined = Boolean(sameDay && last.mine === message.mine && message.time - last.time < JOIN_MS);
    items.push({ ...message, joined });
    last = message;
  }
  return items;
}

/** Writes a text only if it differs, so that nothing is announced twice. */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

function clock(date) {
  return date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

function shortTime(date) {
  const today = date.toDateString() === new Date().toDateString();
  return today ? clock(date) : date.toLocaleDateString([], { day: "numeric", month: "short" });
}

function longDay(date) {
  if (date.toDateString() === new Date().toDateString()) return "Today";
  return date.toLocaleDateString([], { weekday: "long", day: "numeric", month: "long" });
}
